// Uses mqtt-packet to encode our control packets that are not on the hot path.
import mqttPacket, { generate } from 'mqtt-packet'

// Without this setting, mqtt-packet would cache a Buffer for each of the 65,536 two-byte numbers. The cache would
// take 8 MB, although only a few control packets use it.
;(mqttPacket as unknown as { writeToStream: { cacheNumbers: boolean } }).writeToStream.cacheNumbers = false

/** The Will Message (MQTT 5 §3.1.2.5). */
export interface ConnectWill {
  readonly topic: string
  readonly payload: string
  readonly retain: boolean
  readonly delaySeconds: number
}

/** The contents of CONNECT (MQTT 5 §3.1). */
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

/** Encodes CONNECT. Clean Start is always 0, because the broker's session is our queue. */
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
 * Encodes SUBSCRIBE with QoS 1, Retain Handling 2 and Retain As Published 1 (§3.8.3.1): the broker does not send
 * retained requests again after each SUBSCRIBE, and a retained request can be recognized. For `retainedFilters`
 * the QoS is 0, and the broker sends the retained messages after each SUBSCRIBE. Every connection receives these
 * messages again, so they need neither an acknowledgement nor a place in the queue of a disconnected session.
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

/** Encodes UNSUBSCRIBE. */
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

/** Encodes DISCONNECT; mqtt-packet omits the reason code with MQTT 3.1.1. */
export function encodeDisconnect(reasonCode: number, protocolVersion: 4 | 5): Buffer {
  return generate({ cmd: 'disconnect', reasonCode }, { protocolVersion })
}

/** The PINGREQ packet (§3.12). */
export const PINGREQ = Buffer.from([0xc0, 0])
