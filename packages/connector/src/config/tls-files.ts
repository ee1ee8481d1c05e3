// Reads the certificates and keys that a `tls` section names, for one connection.
import { readFileSync } from 'node:fs'
import { hasCertificate, NO_CERTIFICATE } from './pem-files.ts'
import type { TlsConfig } from './schema.ts'

/** The Node.js TLS options that a `tls` section sets; the caller adds the server name. */
export interface TlsTrust {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
  readonly rejectUnauthorized: boolean
}

/** Reads the files. @throws if a file cannot be read, or if a CA file no longer contains a certificate */
export function readTlsFiles({ caFile, certFile, keyFile, insecureSkipVerify }: TlsConfig): TlsTrust {
  return {
    ...(caFile === undefined ? {} : { ca: readAuthorities(caFile) }),
    ...(certFile === undefined ? {} : { cert: readFileSync(certFile) }),
    ...(keyFile === undefined ? {} : { key: readFileSync(keyFile) }),
    rejectUnauthorized: insecureSkipVerify !== true,
  }
}

// Given a file without certificates, Node.js TLS reports no error and then trusts no authority.
function readAuthorities(caFile: string): Buffer {
  const pem = readFileSync(caFile)
  if (!hasCertificate(pem)) throw new Error(`"${caFile}" ${NO_CERTIFICATE}`)
  return pem
}
