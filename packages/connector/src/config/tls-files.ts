// The certificates and keys that a `tls` section names, read at the moment of use.
import { readFileSync } from 'node:fs'
import { hasCertificate, NO_CERTIFICATE } from './pem-files.ts'
import type { TlsConfig } from './schema.ts'

/** What Node.js' TLS takes of a `tls` section; the server name is left to the caller. */
export interface TlsTrust {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
  readonly rejectUnauthorized: boolean
}

/** @throws when a file cannot be read, or when a CA file holds no certificate any more. */
export function readTlsFiles({ caFile, certFile, keyFile, insecureSkipVerify }: TlsConfig): TlsTrust {
  return {
    ...(caFile === undefined ? {} : { ca: readAuthorities(caFile) }),
    ...(certFile === undefined ? {} : { cert: readFileSync(certFile) }),
    ...(keyFile === undefined ? {} : { key: readFileSync(keyFile) }),
    rejectUnauthorized: insecureSkipVerify !== true,
  }
}

// Node.js' TLS would take it, and trust nobody.
function readAuthorities(caFile: string): Buffer {
  const pem = readFileSync(caFile)
  if (!hasCertificate(pem)) throw new Error(`"${caFile}" ${NO_CERTIFICATE}`)
  return pem
}
