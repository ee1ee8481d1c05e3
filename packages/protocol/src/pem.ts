// Finds certificates and keys in PEM text (RFC 7468). Reads the frames only, not their content.

// OpenSSL, and therefore Node.js, accepts the old label X509, and TRUSTED for a certificate with OpenSSL's additions.
const CERTIFICATE = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[^-]*-----END \1-----/g
const PRIVATE_KEY = /-----BEGIN ((?:[A-Z]{1,20} )?PRIVATE KEY)-----[^-]*(?:-[^-]+)*-----END \1-----/

/** The certificates in the text, each with its frame. */
export function pemCertificates(text: string): string[] {
  return text.match(CERTIFICATE) ?? []
}

/** Whether the text has a private key of any kind, encrypted or not. */
export function hasPemPrivateKey(text: string): boolean {
  return PRIVATE_KEY.test(text)
}
