// Checks the TLS handshake with the broker: trust, name and dates of the certificate.
import { connect, type TLSSocket } from 'node:tls'
import { isIP } from 'node:net'
import { tlsFailure, type TlsFailureKind } from '@inferwire/protocol'
import { fault, notChecked, ok, warning, type Check, type Finding } from '../check.ts'
import { findContact } from '../mqtt/first-contact.ts'
import { isTls, placeOf, shownAddress, tlsOptions, type ProbeTarget } from '../mqtt/probe-target.ts'
import { eachPlace } from './each-place.ts'

const EXPIRES_SOON_DAYS = 14
const DAY_MS = 86_400_000
// The diagnosis of a failed handshake connects up to three times.
const STEPS = 4

export const brokerTls: Check = {
  id: 'broker.tls',
  title: "the broker's certificate is trusted, and valid for its host name",
  needs: ['broker.port'],
  run: (context, signal) => {
    if (!context.sides.some(({ target }) => isTls(target))) {
      return notChecked('the broker is not addressed with TLS')
    }
    return eachPlace(context, ({ target }) =>
      isTls(target)
        ? shake(target, context.timeoutMs / STEPS, signal)
        : ok(`${shownAddress(target)} is not addressed with TLS.`),
    )
  },
}

async function shake(target: ProbeTarget, contactMs: number, signal: AbortSignal): Promise<Finding> {
  const socket = connect({ ...placeOf(target), ...tlsOptions(target) })
  const error = await new Promise<Error | undefined>((resolve) => {
    socket.once('secureConnect', () => resolve(undefined))
    socket.once('error', resolve)
    socket.once('close', () => resolve(new Error('The connection was closed during the handshake.')))
    signal.addEventListener('abort', () => resolve(new Error('The handshake did not end in time.')))
  })
  const validTo = error === undefined ? validUntil(socket) : undefined
  socket.destroy()
  if (error === undefined) return judgeValidity(target, validTo, Date.now())
  // Mosquitto resets a connection that does not begin with CONNECT, without an answer.
  const isPlain = tlsFailure(error) === undefined && (await findContact(target, contactMs)) === 'mqtt'
  return judgeTlsError(target, isPlain ? new PlainPort() : error)
}

// The port answers CONNECT without TLS.
class PlainPort extends Error {
  readonly code = 'ERR_SSL_WRONG_VERSION_NUMBER'

  constructor() {
    super('it answers CONNECT without TLS')
  }
}

function validUntil(socket: TLSSocket): number {
  return Date.parse(socket.getPeerCertificate().valid_to)
}

/** Judges the end of the certificate's validity, in milliseconds since the epoch. */
export function judgeValidity(target: ProbeTarget, validToMs: number | undefined, nowMs: number): Finding {
  const days = validToMs === undefined ? Number.NaN : Math.floor((validToMs - nowMs) / DAY_MS)
  if (days < EXPIRES_SOON_DAYS) {
    return warning(
      `The certificate of ${shownAddress(target)} expires in ${days} days.`,
      'Renew the certificate, and send SIGHUP to Mosquitto, which then reads the new one. In the manifests of Inferwire, the pod of the broker does this itself.',
    )
  }
  const left = Number.isNaN(days) ? '' : `; it is valid for ${days} more days`
  return ok(`The certificate of ${shownAddress(target)} is trusted${left}.`)
}

/** Explains an error of the TLS handshake. */
export function judgeTlsError(target: ProbeTarget, error: Error): Finding {
  const failure = tlsFailure(error)
  const address = shownAddress(target)
  if (failure === undefined) {
    return fault(
      `The TLS handshake with ${address} failed: ${error.message}`,
      `The other side closed the connection.${sniHint(target)} Check the log of the broker and of the proxy in front of it.`,
    )
  }
  return fault(
    `The broker at ${address} ${failure.what} (${failure.reason}).`,
    `${remedies(target)[failure.kind]}${failure.kind === 'wrong-name' || failure.kind === 'handshake' ? sniHint(target) : ''}`,
  )
}

function remedies(target: ProbeTarget): Record<TlsFailureKind, string> {
  const plain = target.url.protocol === 'wss:' ? 'ws://' : 'mqtt://'
  return {
    untrusted: `Set ${target.caOption} to a PEM file with the certificate of the authority that signed it.`,
    'wrong-name':
      'Use a host name from the certificate in the URL, or set broker.tls.serverName to such a name.',
    'out-of-date': 'Renew the certificate, and check the clocks of both machines.',
    'client-certificate':
      'Set broker.tls.certFile and broker.tls.keyFile to a certificate that the broker accepts.',
    'not-tls': `Use ${plain} for this port, or the port with TLS (8883 by convention).`,
    'old-tls': 'Enable TLS 1.2 or 1.3 on the broker.',
    handshake: 'Check the log of the broker for the reason.',
  }
}

// A router that selects by SNI, such as Traefik's HostSNI, never matches a connection to an IP address.
function sniHint(target: ProbeTarget): string {
  const isAddress = isIP(placeOf(target).host) !== 0 && target.tls.serverName === undefined
  return isAddress
    ? ' The URL has an IP address, so no server name (SNI) is sent, and a route with HostSNI cannot match: use the host name, or set broker.tls.serverName.'
    : ''
}
