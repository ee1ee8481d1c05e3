// The file given with --cafile: certificate authorities in PEM.
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { pemCertificates } from '@inferwire/protocol'
import { CliError } from './cli-error.ts'
import { EXIT } from './exit-code.ts'

/**
 * @throws CliError when it cannot be read, has no certificate, or has one that is broken: Node.js would take the file,
 * and then trust nobody
 */
export function readCaFile(file: string): string {
  const text = readText(file)
  const certificates = pemCertificates(text)
  if (certificates.length > 0 && certificates.every(isCertificate)) return text
  throw new CliError(
    EXIT.missingFile,
    `file "${file}" holds no certificate that can be read; expected PEM`,
    'Give a file with -----BEGIN CERTIFICATE----- to --cafile: that of the authority that signed the broker’s.',
  )
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch (error) {
    throw new CliError(
      EXIT.missingFile,
      `file "${file}" cannot be read: ${(error as Error).message}`,
      'Check the path given with --cafile.',
      { cause: error },
    )
  }
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0
  } catch {
    return false
  }
}
