// The limits in the broker's CONNACK, with the specification's defaults for absent properties (MQTT 5 §3.2.2.3).
import type { Connack } from './control-decoder.ts'
import type { ConnectOptions } from './control-encoder.ts'
import { MalformedPacket } from './malformed.ts'

/** The limits that apply for the life of the connection. */
export interface BrokerLimits {
  readonly sessionPresent: boolean
  /** Number of our QoS 1 publishes that may be unacknowledged at the same time. */
  readonly receiveMaximum: number
  /** Size of the largest packet that the broker accepts, in bytes. */
  readonly maximumPacketSize: number
  readonly maximumQoS: 0 | 1 | 2
  /** False means that none of our publishes may be retained (MQTT-3.2.2-14). */
  readonly retainAvailable: boolean
  readonly wildcardSubscriptionAvailable: boolean
  readonly sharedSubscriptionAvailable: boolean
  /** Keep Alive in seconds; the server's value overrides ours. */
  readonly keepAliveSeconds: number
  /** How long the broker keeps the session, in seconds; the broker's value overrides ours (§3.2.2.3.2). */
  readonly sessionExpirySeconds: number
}

/** The values in our CONNECT that the broker may change. */
export type AskedLimits = Pick<ConnectOptions, 'keepAliveSeconds' | 'sessionExpirySeconds'>

/** Returns the limits of a successful CONNACK. @throws MalformedPacket for values that make publishing impossible. */
export function brokerLimits({ sessionPresent, properties }: Connack, asked: AskedLimits): BrokerLimits {
  const { receiveMaximum = 65_535, maximumPacketSize = 0xffff_ffff } = properties
  if (receiveMaximum === 0)
    throw new MalformedPacket('The broker sent CONNACK with Receive Maximum 0 (MQTT 5 §3.2.2.3.3)')
  if (maximumPacketSize === 0)
    throw new MalformedPacket('The broker sent CONNACK with Maximum Packet Size 0 (MQTT 5 §3.2.2.3.6)')
  return {
    sessionPresent,
    receiveMaximum,
    maximumPacketSize,
    maximumQoS: qosOf(properties.maximumQoS),
    retainAvailable: properties.retainAvailable !== 0,
    wildcardSubscriptionAvailable: properties.wildcardSubscriptionAvailable !== 0,
    sharedSubscriptionAvailable: properties.sharedSubscriptionAvailable !== 0,
    keepAliveSeconds: properties.serverKeepAlive ?? asked.keepAliveSeconds,
    sessionExpirySeconds: properties.sessionExpiryInterval ?? asked.sessionExpirySeconds,
  }
}

function qosOf(maximumQoS = 2): 0 | 1 | 2 {
  if (maximumQoS === 0 || maximumQoS === 1 || maximumQoS === 2) return maximumQoS
  throw new MalformedPacket(`The broker sent CONNACK with Maximum QoS ${maximumQoS} (MQTT 5 §3.2.2.3.4)`)
}
