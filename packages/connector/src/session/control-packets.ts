// The packets that are not on the hot path, built and read by mqtt-packet.
import mqttPacket, { generate, parser, type Packet } from 'mqtt-packet'
import type { Frame } from './frame-reader.ts'
import { MalformedPacket } from './malformed.ts'

// mqtt-packet would keep a Buffer for each of the 65,536 two-byte numbers: 8 MB for a handful of control packets.
;(mqttPacket as unknown as { writeToStream: { cacheNumbers: boolean } }).writeToStream.cacheNumbers = false

/** What CONNECT says (MQTT 5 §3.1). */
export interface ConnectOptions {
  readonly protocolVersion: 4 | 5
  readonly clientId: string
  readonly username: string | undefined
  readonly password: string | undefined
  readonly keepAliveSeconds: number
  readonly sessionExpirySeconds: number
  readonly receiveMaximum: number
  readonly will:
    { readonly topic: string; readonly payload: string; readonly delaySeconds: number } | undefined
}

/** What CONNACK and SUBACK told us, as far as we need it. */
export type ControlPacket = Packet

/** Clean Start is 0, always: the broker's session is our queue. */
export function encodeConnect(options: ConnectOptions): Buffer {
  const { protocolVersion, will } = options
  return generate(
    {
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion,
      clean: false,
      clientId: options.clientId,
      keepalive: options.keepAliveSeconds,
      ...(options.username === undefined ? {} : { username: options.username }),
      ...(options.password === undefined ? {} : { password: Buffer.from(options.password) }),
      ...(will === undefined
        ? {}
        : {
            will: {
              topic: will.topic,
              payload: Buffer.from(will.payload),
              qos: 1 as const,
              retain: true,
              ...(protocolVersion === 5
                ? { properties: { willDelayInterval: will.delaySeconds, contentType: 'application/json' } }
                : {}),
            },
          }),
      ...(protocolVersion === 5
        ? {
            properties: {
              sessionExpiryInterval: options.sessionExpirySeconds,
              receiveMaximum: options.receiveMaximum,
            },
          }
        : {}),
    },
    { protocolVersion },
  )
}

/**
 * Retain Handling 2 and Retain As Published 1, so that retained requests do not come back and can be told (§3.8.3.1).
 * Only for `retainedFilters` the broker sends what it retains.
 */
export function encodeSubscribe(
  packetId: number,
  filters: readonly string[],
  protocolVersion: 4 | 5,
  retainedFilters: readonly string[] = [],
): Buffer {
  const subscriptions = filters.map((topic) => ({
    topic,
    qos: 1 as const,
    nl: false,
    rap: true,
    rh: retainedFilters.includes(topic) ? 0 : 2,
  }))
  return generate({ cmd: 'subscribe', messageId: packetId, subscriptions }, { protocolVersion })
}

/** Stops new requests where others take over. */
export function encodeUnsubscribe(
  packetId: number,
  filters: readonly string[],
  protocolVersion: 4 | 5,
): Buffer {
  return generate(
    { cmd: 'unsubscribe', messageId: packetId, unsubscriptions: [...filters] },
    { protocolVersion },
  )
}

/** DISCONNECT; with MQTT 3.1.1 the reason code is left out by mqtt-packet. */
export function encodeDisconnect(reasonCode: number, protocolVersion: 4 | 5): Buffer {
  return generate({ cmd: 'disconnect', reasonCode }, { protocolVersion })
}

/** PINGREQ (§3.12). */
export const PINGREQ = Buffer.from([0xc0, 0])

/**
 * Reads a control packet from its frame.
 * @throws MalformedPacket also for what mqtt-packet lets through: fields and properties that run past the packet, and
 * properties that come twice, which it makes lists of.
 */
export function decodeControlPacket(frame: Frame, protocolVersion: 4 | 5): ControlPacket {
  let packet: Packet | undefined
  const reader = parser({ protocolVersion })
  reader.on('packet', (read: Packet) => (packet = read))
  reader.on('error', (error: Error) => {
    throw new MalformedPacket(error.message)
  })
  reader.parse(withFixedHeader(frame))
  // Flags and code (MQTT 5 §3.2.2): without them mqtt-packet would leave both out.
  const isCut = packet?.cmd === 'connack' && frame.body.length < 2
  if (packet === undefined || isCut) throw new MalformedPacket('A control packet ends before its last field')
  if ('properties' in packet && packet.properties !== undefined) checkProperties(packet.properties)
  return packet
}

function checkProperties(properties: object): void {
  for (const [name, value] of Object.entries(properties) as [string, unknown][]) {
    // mqtt-packet says -1 for a number that is cut off.
    if (value === null || value === -1) throw new MalformedPacket(`Property "${name}" runs past its packet`)
    if (Array.isArray(value)) throw new MalformedPacket(`Property "${name}" comes twice (MQTT 5 §2.2.2.2)`)
  }
}

function withFixedHeader(frame: Frame): Buffer {
  const header = [frame.head]
  let rest = frame.bodyBytes
  do {
    header.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest)
    rest >>>= 7
  } while (rest > 0)
  return Buffer.concat([Buffer.from(header), frame.body])
}
