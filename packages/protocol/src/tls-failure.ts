// Maps the error codes of Node.js to the reasons why a TLS connection failed, with one wording for all packages.

/** Reason for the failure; the caller adds the option that remedies it. */
export type TlsFailureKind =
  /** The certificate is not signed by a trusted authority. */
  | 'untrusted'
  | 'wrong-name'
  /** The certificate has expired or is not valid yet. */
  | 'out-of-date'
  /** The other side requires a client certificate, or a different one. */
  | 'client-certificate'
  /** The port does not use TLS. */
  | 'not-tls'
  /** The other side supports only TLS versions that are too old. */
  | 'old-tls'
  /** Any other failure between the TCP connection and the first byte of data. */
  | 'handshake'

/** A failed TLS handshake. */
export interface TlsFailure {
  readonly kind: TlsFailureKind
  /** The rest of a sentence whose subject is the other side, such as "The broker". */
  readonly what: string
  /** The error message from Node.js or OpenSSL. */
  readonly reason: string
}

const WHAT: Readonly<Record<TlsFailureKind, string>> = {
  untrusted: 'has a TLS certificate that no trusted certificate authority signed',
  'wrong-name': 'has a TLS certificate for another host name',
  'out-of-date': 'has a TLS certificate that has expired or is not valid yet',
  'client-certificate': 'did not accept the client certificate, or requires one',
  'not-tls': 'does not use TLS on this port',
  'old-tls': 'offers no accepted TLS version (1.2 or 1.3)',
  handshake: 'ended the TLS handshake with an error',
}

// OpenSSL's names of verification errors and reasons, as they appear in the `error.code` of Node.js.
const KINDS: readonly (readonly [RegExp, TlsFailureKind])[] = [
  [/^ERR_TLS_CERT_ALTNAME_INVALID$|^HOSTNAME_MISMATCH$/, 'wrong-name'],
  [/^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/, 'out-of-date'],
  [
    /SELF_SIGNED_CERT|^UNABLE_TO_(GET_ISSUER|VERIFY_LEAF)|^CERT_(UNTRUSTED|SIGNATURE_FAILURE)$|^INVALID_(CA|PURPOSE)$/,
    'untrusted',
  ],
  [/^CERT_|^(UNABLE_TO|CRL|ERROR_IN|PATH_LENGTH)_/, 'untrusted'],
  // RFC 8446 §6: alerts about the client certificate.
  [/^ERR_SSL_.*ALERT_(CERTIFICATE|BAD_CERTIFICATE|UNKNOWN_CA|UNSUPPORTED_CERTIFICATE)/, 'client-certificate'],
  [/^ERR_SSL_(WRONG_VERSION_NUMBER|HTTP_REQUEST|PACKET_LENGTH_TOO_LONG|RECORD_LAYER_FAILURE)$/, 'not-tls'],
  [/^ERR_SSL_(UNSUPPORTED_PROTOCOL|NO_PROTOCOLS_AVAILABLE|.*ALERT_PROTOCOL_VERSION)$/, 'old-tls'],
  [/^ERR_(SSL|TLS|OSSL)_|^EPROTO$/, 'handshake'],
]

/** The members of a Node.js error that `tlsFailure` reads. */
export interface ErrorLike {
  readonly code?: unknown
  readonly message?: unknown
}

/** Classifies an error; undefined if it is unrelated to TLS. */
export function tlsFailure(error: ErrorLike): TlsFailure | undefined {
  const name = nameOf(error)
  const kind = KINDS.find(([pattern]) => pattern.test(name))?.[1]
  return kind === undefined ? undefined : { kind, what: WHAT[kind], reason: reasonOf(error) }
}

// A write error contains OpenSSL's reason only in its message text: "write EPROTO ...:SSL routines:...:wrong version
// number".
function nameOf(error: ErrorLike): string {
  const { code } = error
  if (typeof code !== 'string') return ''
  const reason = code === 'EPROTO' ? openSslReason(messageOf(error)) : undefined
  return reason === undefined ? code : `ERR_SSL_${reason.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_')}`
}

// Removes OpenSSL's file, line and routine.
function reasonOf(error: ErrorLike): string {
  const message = messageOf(error)
  return openSslReason(message) ?? message
}

function openSslReason(message: string): string | undefined {
  return /:error:[^:]*:[^:]*:[^:]*:([^:]+)/.exec(message)?.[1]
}

function messageOf({ message }: ErrorLike): string {
  return typeof message === 'string' ? message.trim() : ''
}
