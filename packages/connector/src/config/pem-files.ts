// Checks that the files of a `tls` section contain certificates and keys in PEM.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { pemCertificates } from '@inferwire/protocol'

/** The options of a `tls` section that name a file. */
export type PemOption = 'caFile' | 'certFile' | 'keyFile'

/** Returns whether an option of a `tls` section names a PEM file. */
export function isPemOption(name: string | undefined): name is PemOption {
  return name === 'caFile' || name === 'certFile' || name === 'keyFile'
}

/** Completes a sentence that begins with the name of the file. */
export const NO_CERTIFICATE = 'contains no readable certificate; expected PEM (-----BEGIN CERTIFICATE-----)'

/**
 * Returns whether the bytes are PEM and contain at least one certificate, and all certificates are readable. Node.js
 * accepts any bytes as a CA file, ignores everything after the first error, and may then trust no authority.
 */
export function hasCertificate(pem: Uint8Array): boolean {
  const blocks = pemCertificates(Buffer.from(pem).toString('latin1'))
  return blocks.length > 0 && blocks.every((block) => attempt(() => new X509Certificate(block)) !== undefined)
}

/** Returns the mistake in a file's content, to complete a sentence that begins with the file's name, or undefined. */
export function pemMistake(option: PemOption, file: string): string | undefined {
  const pem = readFileSync(file)
  if (option !== 'keyFile') return hasCertificate(pem) ? undefined : NO_CERTIFICATE
  if (attempt(() => createPrivateKey(pem)) !== undefined) return undefined
  return pem.includes('ENCRYPTED')
    ? 'contains a key with a passphrase; expected a key without one (openssl pkey -in FILE -out NEW)'
    : 'contains no readable private key; expected PEM (-----BEGIN PRIVATE KEY-----)'
}

/**
 * Returns the mistake if the key does not belong to the certificate; undefined if it does, or if one of the files is
 * not PEM.
 */
export function keyMismatch(certFile: string, keyFile: string): string | undefined {
  const isKeyOf = attempt(() =>
    new X509Certificate(readFileSync(certFile)).checkPrivateKey(createPrivateKey(readFileSync(keyFile))),
  )
  return isKeyOf === false ? 'does not belong to the certificate in certFile' : undefined
}

function attempt<Result>(read: () => Result): Result | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
