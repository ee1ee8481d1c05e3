// What the broker said in CONNACK, with the specification's defaults for what it left out (MQTT 5 §3.2.2.3).
import type { IConnackPacket } from 'mqtt-packet'
import { MalformedPacket } from './malformed.ts'

/** Obeyed for the life of the connection. */
export interface BrokerLimits {
  readonly sessionPresent: boolean
  /** QoS 1 publishes of ours that may be unacknowledged at once. */
  readonly receiveMaximum: number
  /** Bytes of the largest packet that the broker takes. */
  readonly maximumPacketSize: number
  readonly maximumQoS: 0 | 1 | 2
  readonly sharedSubscriptionAvailable: boolean
  /** Seconds; the server's value overrides ours. */
  readonly keepAliveSeconds: number
}

/** Limits of a successful CONNACK. @throws MalformedPacket for values with which nothing could be published. */
export function brokerLimits(connack: IConnackPacket, ownKeepAliveSeconds: number): BrokerLimits {
  const properties = connack.properties ?? {}
  if (properties.receiveMaximum === 0) {
    throw new MalformedPacket('CONNACK with Receive Maximum 0 (MQTT 5 §3.2.2.3.3)')
  }
  if (properties.maximumPacketSize === 0) {
    throw new MalformedPacket('CONNACK with Maximum Packet Size 0 (MQTT 5 §3.2.2.3.6)')
  }
  if ((properties.maximumQoS ?? 0) > 2)
    throw new MalformedPacket('CONNACK with Maximum QoS above 2 (§3.2.2.3.4)')
  return {
    sessionPresent: connack.sessionPresent,
    receiveMaximum: properties.receiveMaximum ?? 65_535,
    maximumPacketSize: properties.maximumPacketSize ?? 0xffff_ffff,
    maximumQoS: (properties.maximumQoS ?? 2) as 0 | 1 | 2,
    sharedSubscriptionAvailable: properties.sharedSubscriptionAvailable ?? true,
    keepAliveSeconds: properties.serverKeepAlive ?? ownKeepAliveSeconds,
  }
}
