// What to change in the configuration after a failed TLS handshake.
import { tlsFailure, type TlsFailureKind } from '@inferwire/protocol'

const REMEDIES: Readonly<Record<TlsFailureKind, (section: string) => string>> = {
  untrusted: (section) => `Name the file with its certificate authority in ${section}.caFile.`,
  'wrong-name': (section) =>
    `Use a name of the certificate in the URL, or give the name to expect in ${section}.serverName.`,
  'out-of-date': () => 'Renew the certificate, and check the clock of both machines.',
  'client-certificate': (section) => `Check ${section}.certFile and ${section}.keyFile.`,
  'not-tls': () => 'Check the port; a port without TLS needs mqtt://, ws:// or http:// in the URL.',
  'old-tls': () => 'Let it offer TLS 1.2 or 1.3.',
  handshake: () => 'See its log for the reason.',
}

/**
 * What happened in the handshake and what to do, as two sentences; `who` begins the first, `section` is the path of the
 * `tls` options. Undefined for errors that have nothing to do with TLS.
 */
export function explainTls(error: Error, who: string, section: string): string | undefined {
  const failure = tlsFailure(error)
  if (failure === undefined) return undefined
  return `${who} ${failure.what} (${failure.reason}). ${REMEDIES[failure.kind](section)}`
}
