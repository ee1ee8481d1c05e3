// Checks certificates and keys in PEM before TLS uses them: given a text without certificates, Node.js reports no error
// and then trusts no authority.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { pemCertificates } from '@inferwire/protocol'
import { configError } from './kube-error.ts'

/** Returns the text if it contains certificates. `what` names where it comes from. @throws KubeError `InvalidConfig` */
export function checkedCertificates(pem: string, what: string): string {
  if (hasCertificates(pem)) return pem
  throw configError(`${what} contains no readable certificate`, 'Expected PEM (-----BEGIN CERTIFICATE-----).')
}

/** Returns the text if it contains a private key. `what` names where it comes from. @throws KubeError `InvalidConfig` */
export function checkedKey(pem: string, what: string): string {
  if (isReadable(() => createPrivateKey(pem))) return pem
  throw configError(`${what} contains no readable private key`, 'Expected PEM, without a passphrase.')
}

function hasCertificates(pem: string): boolean {
  const blocks = pemCertificates(pem)
  return blocks.length > 0 && blocks.every((block) => isReadable(() => new X509Certificate(block)))
}

function isReadable(read: () => unknown): boolean {
  try {
    read()
    return true
  } catch {
    return false
  }
}
