// Creates an expired, self-signed certificate for 127.0.0.1.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempFolder } from '../fixtures/temp-folder.ts'

/** Certificate and key in PEM, and the path of the authority's certificate. */
export interface Certificate {
  readonly cert: string
  readonly key: string
  readonly caFile: string
}

/** Creates the certificate with OpenSSL. */
export function expiredCertificate(): Certificate {
  const folder = tempFolder('expired')
  const at = (name: string): string => join(folder, name)
  writeFileSync(at('names'), 'subjectAltName=IP:127.0.0.1\n')
  openssl(
    `req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ${at('key.pem')} -out ${at('request.pem')} -subj /CN=127.0.0.1`,
  )
  openssl(
    `x509 -req -in ${at('request.pem')} -signkey ${at('key.pem')} -days -1 -extfile ${at('names')} -out ${at('cert.pem')}`,
  )
  return {
    cert: readFileSync(at('cert.pem'), 'utf8'),
    key: readFileSync(at('key.pem'), 'utf8'),
    caFile: at('cert.pem'),
  }
}

function openssl(line: string): void {
  execFileSync('openssl', line.split(' '), { stdio: 'ignore' })
}
