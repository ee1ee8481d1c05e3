// Creates a self-signed certificate with openssl.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { tempFolder } from '../fixtures/temp-folder.ts'

/** Creates a key and a self-signed certificate for these host names. Returns the paths of both PEM files. */
export function makeCertificate(names: readonly string[] = ['mqtt']): {
  readonly folder: string
  readonly certFile: string
  readonly keyFile: string
} {
  const folder = tempFolder('certificate')
  const [certFile, keyFile] = [join(folder, 'tls.crt'), join(folder, 'tls.key')]
  const request = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1'
  const subject = [
    '-subj',
    `/CN=${names[0]}`,
    '-addext',
    `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}`,
  ]
  execFileSync('openssl', [...request.split(' '), ...subject, '-keyout', keyFile, '-out', certFile], {
    stdio: 'ignore',
  })
  return { folder, certFile, keyFile }
}
