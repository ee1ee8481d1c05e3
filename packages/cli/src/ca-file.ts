// Reads the --cafile option: certificate authorities in PEM.
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { pemCertificates } from '@inferwire/protocol'
import { CliError } from './cli-error.ts'
import { EXIT } from './exit-code.ts'

/**
 * Returns the text of the file.
 * @throws CliError if the file cannot be read, or contains no certificate or an invalid one. Node.js would accept such
 * a file, and then reject every broker
 */
export function readCaFile(file: string): string {
  const text = readText(file)
  const certificates = pemCertificates(text)
  if (certificates.length > 0 && certificates.every(isCertificate)) return text
  throw new CliError(
    EXIT.missingFile,
    `file "${file}" does not contain valid PEM certificates`,
    "Use --cafile with the PEM certificate (-----BEGIN CERTIFICATE-----) of the broker's certificate authority.",
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
