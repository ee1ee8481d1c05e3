// Finds what PEM text holds (RFC 7468). It looks at the frames only: the caller can read the content, or its TLS can.

// OpenSSL, and Node.js with it, takes the old label X509, and TRUSTED for a certificate with its own additions.
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
