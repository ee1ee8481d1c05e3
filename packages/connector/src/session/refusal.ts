// Turns the broker's refusals into errors that state what was refused and what to do.
import type { BrokerLimits } from './broker-limits.ts'
import type { Connack, Disconnect } from './control-decoder.ts'
import type { ControlProperties } from './control-properties.ts'
import { shown } from './malformed.ts'
import { reasonName, remedyOf, type ReasonCarrier } from './reason-codes.ts'

/** The reason, for the operator, why a connection was not established or was ended. */
export class SessionRefusal extends Error {
  override readonly name = 'SessionRefusal'
  /** The reason code that the broker sent; for MQTT 3.1.1 the equivalent MQTT 5 code. */
  readonly reasonCode: number
  /** The packet that contains the refusal; undefined if we refuse the broker because it lacks a feature. */
  readonly packet: ReasonCarrier | undefined

  constructor(message: string, reasonCode: number, packet?: ReasonCarrier) {
    super(message)
    this.reasonCode = reasonCode
    this.packet = packet
  }
}

// Maps the MQTT 3.1.1 return codes (§3.2.2.3) to the equivalent MQTT 5 reason codes.
const FROM_V311: Readonly<Record<number, number>> = { 1: 0x84, 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87 }

/** Returns the error for a CONNACK that is not a success. */
export function connackRefusal({ reasonCode, isV311, properties }: Connack): SessionRefusal {
  const code = isV311 ? (FROM_V311[reasonCode] ?? reasonCode) : reasonCode
  return new SessionRefusal(
    `The broker refused the connection (${reasonName(code)})${details(properties)}. ${remedyOf('CONNACK', code)}`,
    code,
    'CONNACK',
  )
}

/** Returns the error for a DISCONNECT that the broker sent. */
export function disconnectRefusal({ reasonCode, properties }: Disconnect): SessionRefusal {
  return new SessionRefusal(
    `The broker ended the connection (${reasonName(reasonCode)})${details(properties)}. ${remedyOf('DISCONNECT', reasonCode)}`,
    reasonCode,
    'DISCONNECT',
  )
}

/**
 * Returns the error for a broker that lacks a feature that our subscriptions need; undefined if the broker has
 * every such feature.
 */
export function featureRefusal(
  limits: BrokerLimits,
  share: string | undefined,
  filters: readonly string[],
): SessionRefusal | undefined {
  if (share !== undefined && !limits.sharedSubscriptionAvailable) return lacks(0x9e)
  if (!limits.wildcardSubscriptionAvailable && filters.some((filter) => /[+#]/.test(filter)))
    return lacks(0xa2)
  return undefined
}

// MQTT 5 §3.2.2.3.11, §3.2.2.3.13: if a SUBSCRIBE used a feature that the broker lacks, the broker would end the
// connection.
function lacks(code: number): SessionRefusal {
  return new SessionRefusal(
    `The broker does not support the connector's subscriptions (${reasonName(code)}). ${remedyOf('SUBACK', code)}`,
    code,
  )
}

/** Returns the error for a subscription that was not granted with QoS 1. */
export function subscribeRefusal(filter: string, code: number): SessionRefusal {
  const what =
    code === 0
      ? 'granted only QoS 0, which would lose requests'
      : `refused the subscription (${reasonName(code)})`
  const remedy = code === 0 ? remedyOf('CONNACK', 0x9b) : remedyOf('SUBACK', code)
  const plain = filter.replace(/^\$share\/[^/]+\//, '')
  return new SessionRefusal(
    `The broker ${what}: "${filter}". ${remedy}${code === 0x80 || code === 0x87 ? ` ACL: topic read ${plain}` : ''}`,
    code,
    'SUBACK',
  )
}

/** Returns the error for a refused UNSUBSCRIBE. */
export function unsubscribeRefusal(filter: string, code: number): SessionRefusal {
  return new SessionRefusal(
    `The broker refused to unsubscribe from "${filter}" (${reasonName(code)}).`,
    code,
    'UNSUBACK',
  )
}

/** Returns the log text for a publish that the broker refused. */
export function publishRefusal(topic: string, code: number): string {
  return `The broker refused a publish to "${topic}" (${reasonName(code)}). ${remedyOf('PUBACK', code)}`
}

// Formats text from the broker for a log line, limited in length and on one line.
function details({ reasonString = '', serverReference = '' }: ControlProperties): string {
  const parts = [
    ...(reasonString === '' ? [] : [`its reason: "${shown(reasonString)}"`]),
    ...(serverReference === '' ? [] : [`the other server is "${shown(serverReference)}"`]),
  ]
  return parts.map((part) => `; ${part}`).join('')
}
