// Finds certificates and keys in PEM text (RFC 7468). Checks only the BEGIN and END lines, not the content.

// OpenSSL, and therefore Node.js, also accepts two prefixes of the label: X509, which is old, and TRUSTED, which
// marks a certificate with trust settings.
const CERTIFICATE = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[^-]*-----END \1-----/g
const PRIVATE_KEY = /-----BEGIN ((?:[A-Z]{1,20} )?PRIVATE KEY)-----[^-]*(?:-[^-]+)*-----END \1-----/

/** Returns the certificates in the text, each with its BEGIN and END lines. */
export function pemCertificates(text: string): string[] {
  return text.match(CERTIFICATE) ?? []
}

/** Returns whether the text contains a private key of any kind, encrypted or not. */
export function hasPemPrivateKey(text: string): boolean {
  return PRIVATE_KEY.test(text)
}
