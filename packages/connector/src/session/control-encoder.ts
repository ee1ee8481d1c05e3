// The packets of ours that are not on the hot path, written by mqtt-packet.
import mqttPacket, { generate } from 'mqtt-packet'

// mqtt-packet would keep a Buffer for each of the 65,536 two-byte numbers: 8 MB for a handful of control packets.
;(mqttPacket as unknown as { writeToStream: { cacheNumbers: boolean } }).writeToStream.cacheNumbers = false

/** MQTT 5 §3.1.2.5 */
export interface ConnectWill {
  readonly topic: string
  readonly payload: string
  readonly retain: boolean
  readonly delaySeconds: number
}

/** What CONNECT says (MQTT 5 §3.1). */
export interface ConnectOptions {
  readonly protocolVersion: 4 | 5
  readonly clientId: string
  readonly username: string | undefined
  readonly password: string | undefined
  readonly keepAliveSeconds: number
  readonly sessionExpirySeconds: number
  readonly receiveMaximum: number
  readonly will: ConnectWill | undefined
}

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
              retain: will.retain,
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
 * QoS 1, Retain Handling 2 and Retain As Published 1: retained requests are not sent again with each SUBSCRIBE, and can
 * be recognized (§3.8.3.1). For `retainedFilters` the broker sends what it retains, each time, with QoS 0: it is sent
 * again on the next connection, so it needs neither an acknowledgement nor a place in the queue of an absent session.
 */
export function encodeSubscribe(
  packetId: number,
  filters: readonly string[],
  protocolVersion: 4 | 5,
  retainedFilters: readonly string[] = [],
): Buffer {
  const subscriptions = filters.map((topic) => ({
    topic,
    nl: false,
    rap: true,
    ...(retainedFilters.includes(topic) ? { qos: 0 as const, rh: 0 } : { qos: 1 as const, rh: 2 }),
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
