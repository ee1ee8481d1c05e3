// Explains why a TLS handshake failed, and which option to change.
import { tlsFailure, type TlsFailureKind } from '@inferwire/protocol'

const REMEDIES: Readonly<Record<TlsFailureKind, (section: string) => string>> = {
  untrusted: (section) => `Set ${section}.caFile to a file with the certificate of the issuing authority.`,
  'wrong-name': (section) =>
    `In the URL, use a host name from the certificate, or set ${section}.serverName to such a name.`,
  'out-of-date': () => 'Renew the certificate, and check the clocks of both machines.',
  'client-certificate': (section) => `Check ${section}.certFile and ${section}.keyFile.`,
  'not-tls': () => 'Check the port; a port without TLS needs mqtt://, ws:// or http:// in the URL.',
  'old-tls': () => 'Enable TLS 1.2 or 1.3 there.',
  handshake: () => 'See its log for the reason.',
}

/**
 * Returns two sentences: the first explains why the handshake failed, the second is the remedy. `who` is the subject of
 * the first sentence; `section` is the path of the `tls` options. Returns undefined for errors unrelated to TLS.
 */
export function explainTls(error: Error, who: string, section: string): string | undefined {
  const failure = tlsFailure(error)
  if (failure === undefined) return undefined
  return `${who} ${failure.what} (${failure.reason}). ${REMEDIES[failure.kind](section)}`
}
