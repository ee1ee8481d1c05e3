// Explains connections that fail because the port does not speak the protocol in broker.url.
import { explainTls } from '../config/index.ts'
import { MalformedPacket } from './malformed.ts'

const SHOWN_BYTES_MAX = 60
const TLS_ALERT = 0x15
const TLS_HANDSHAKE = 0x16

const CONNACK = 2

/**
 * Checks the first bytes from the broker.
 * @throws MalformedPacket if they are not a CONNACK; if they belong to a known protocol, the message names it.
 */
export function checkFirstBytes(first: Buffer): void {
  const type = (first[0] ?? 0) >> 4
  // CONNACK must be the first packet from the broker (MQTT-3.2.0-1).
  if (type === CONNACK) return
  const text = first.toString('latin1', 0, SHOWN_BYTES_MAX)
  if (text.startsWith('HTTP/')) {
    throw new MalformedPacket(
      'The port speaks HTTP, not MQTT. Check the port; for MQTT over WebSocket use ws:// in broker.url.',
    )
  }
  // RFC 8446 §5.1: a TLS record begins with its type and legacy version.
  if ((first[0] === TLS_ALERT || first[0] === TLS_HANDSHAKE) && first[1] === 3) {
    throw new MalformedPacket('The port speaks TLS. Use mqtts:// (or wss://) in broker.url.')
  }
  const [line = ''] = text.split(/\r?\n/)
  if (/^[\x20-\x7e]{4,}$/.test(line))
    throw new MalformedPacket(
      `The port does not speak MQTT: its response begins with "${line}". Check broker.url.`,
    )
  throw new MalformedPacket(`The broker sent packet type ${type} before CONNACK (MQTT-3.2.0-1)`)
}

/** Returns an error with a remedy if the port or its certificate is the cause, otherwise the original error. */
export function explainEnd(error: Error, url: string): Error {
  const text = explainTls(error, 'The broker', 'broker.tls') ?? webSocketMistake(error, url)
  return text === undefined ? error : new Error(text, { cause: error })
}

function webSocketMistake(error: Error & { code?: unknown }, url: string): string | undefined {
  if (String(error.code).startsWith('HPE_')) {
    return 'The port does not speak HTTP, which WebSocket needs. Check the port; for MQTT over TCP use mqtt:// or mqtts:// in broker.url.'
  }
  const status = /^Unexpected server response: (\d+)$/.exec(error.message)?.[1]
  return status === undefined
    ? undefined
    : `The server answered the WebSocket handshake with status ${status}. Check the port and path in broker.url (the path is "${new URL(url).pathname}").`
}
