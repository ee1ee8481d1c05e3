// Converts CONNACK, SUBACK and PUBACK reason codes, and TLS failures, to the SDK's errors.
import { tlsFailure, type TlsFailureKind } from '@inferwire/protocol'
import { InferwireError, reasonOf } from './error.ts'
import type { DialTarget } from './transport.ts'

// MQTT 5 §3.2.2.2; codes below 0x80 are those of MQTT 3.1.1 §3.2.2.3.
const CONNACK_NOT_AUTHORIZED = new Set([4, 5, 0x86, 0x87, 0x8a, 0x8c])
const CONNACK_WRONG_VERSION = new Set([1, 0x84])

// Remedies for a rejected broker certificate.
const CERTIFICATE_REMEDIES: Partial<Record<TlsFailureKind, (reason: unknown) => string>> = {
  untrusted: () => "set the ca option to the certificate of the broker's certificate authority",
  'wrong-name': (reason) => `connect with a name from the certificate${namesOf(reason)}`,
  'out-of-date': () => "renew the broker's certificate, or correct the clock of this machine",
}

/**
 * Returns the error for a connection that could not be opened. `reason` is mqtt.js's error; undefined if the broker
 * closed the connection.
 */
export function dialError(target: DialTarget, reason: unknown): InferwireError {
  const address = addressOf(target.url)
  const code = (reason as { code?: unknown } | undefined)?.code
  if (typeof code === 'number' && CONNACK_NOT_AUTHORIZED.has(code)) {
    const who = target.username === undefined ? 'a client without a user name' : `user "${target.username}"`
    return new InferwireError('not_authorized', `The broker at ${address} refused ${who}.`, { cause: reason })
  }
  if (typeof code === 'number' && CONNACK_WRONG_VERSION.has(code)) {
    const { protocolVersion } = target
    return new InferwireError(
      'broker_unreachable',
      `The broker at ${address} does not support MQTT ${protocolVersion === 5 ? '5; set mqttVersion to "3.1.1"' : '3.1.1; set mqttVersion to 5'}.`,
      { retryable: false, cause: reason },
    )
  }
  const failure = tlsFailure(typeof reason === 'object' && reason !== null ? reason : {})
  const remedy = failure && CERTIFICATE_REMEDIES[failure.kind]
  if (remedy !== undefined) {
    return new InferwireError(
      'certificate_refused',
      `The certificate of the broker at ${address} was refused: ${reasonOf(reason)} (${String(code)}); ${remedy(reason)}.`,
      { cause: reason },
    )
  }
  if (failure?.kind === 'not-tls') {
    const what = `The broker at ${address} does not use TLS on this port: use another port, or mqtt:// or ws://.`
    return new InferwireError('broker_unreachable', what, { retryable: false, cause: reason })
  }
  const what = reason === undefined ? 'the broker closed the connection without a CONNACK' : reasonOf(reason)
  return new InferwireError(
    'broker_unreachable',
    `Could not connect to the broker at ${address}: ${what}.${code === 'ECONNRESET' ? tlsHint(target) : ''}`,
    { cause: reason },
  )
}

// A TLS port resets a connection that does not start with a TLS handshake.
function tlsHint({ url }: DialTarget): string {
  const isTls = url.protocol === 'mqtts:' || url.protocol === 'wss:'
  return isTls ? '' : ` If this port uses TLS, use ${url.protocol.slice(0, -1)}s://.`
}

// Returns the certificate's names, which Node.js omits from its message if the host is an IP address.
function namesOf(reason: unknown): string {
  const { cert } = reason as { cert?: { subjectaltname?: unknown } }
  return typeof cert?.subjectaltname === 'string' ? ` (${cert.subjectaltname})` : ''
}

/** Returns the error for a subscription that was not granted. */
export function subscribeError(target: DialTarget, filter: string, reason: unknown): InferwireError {
  const granted = (reason as { packet?: { granted?: number[] } } | undefined)?.packet?.granted
  const address = addressOf(target.url)
  if (reason !== undefined && granted === undefined) {
    return new InferwireError(
      'broker_unreachable',
      `The connection to ${address} ended before the subscription to "${filter}" was granted: ${reasonOf(reason)}.`,
      { cause: reason },
    )
  }
  return new InferwireError(
    'not_authorized',
    `The broker at ${address} did not grant a subscription to "${filter}"; check its access rules.`,
    { cause: reason },
  )
}

/**
 * Returns the error for the reason code of a request's PUBACK (MQTT 5 §3.4.2.1); undefined when the broker accepted
 * the request, with or without subscribers.
 */
export function publishError(reasonCode: number, topic: string, model: string): InferwireError | undefined {
  if (reasonCode < 0x80) return undefined
  switch (reasonCode) {
    case 0x87:
      return new InferwireError(
        'not_authorized',
        `The broker does not allow this client to publish to "${topic}"; check its access rules and the identity.`,
        { model },
      )
    case 0x90:
      return new InferwireError('bad_topic', `The broker rejected the topic name "${topic}".`, { model })
    case 0x95:
      return new InferwireError(
        'payload_too_large',
        `The request on "${topic}" is larger than the broker's maximum packet size.`,
        { model },
      )
    case 0x97:
      return new InferwireError(
        'overloaded',
        `The broker's quota is exceeded; the request on "${topic}" was not accepted.`,
        {
          model,
        },
      )
    default:
      return new InferwireError(
        'broker_refused',
        `The broker refused the request on "${topic}" (PUBACK reason 0x${reasonCode.toString(16)}).`,
        { model },
      )
  }
}

/** Returns the broker's address for error messages, without the user name and the password. */
export function addressOf({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`
}
