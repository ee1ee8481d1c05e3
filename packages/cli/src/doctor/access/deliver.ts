// Publishes a message on one connection, and waits for it on another.
import type { ProbeLink, ReceivedMessage } from '../mqtt/probe-link.ts'

/** What became of a message. */
export interface Delivery {
  /** The reason code of PUBACK if it is a refusal (0x80 or above). */
  readonly refusedBy: number | undefined
  /** The code of SUBACK if it is a refusal. */
  readonly subscriptionRefusedBy: number | undefined
  /** The message as it arrived; undefined if it did not. */
  readonly arrived: ReceivedMessage | undefined
}

/** One message, and how long to wait for it. */
export interface Sending {
  readonly from: ProbeLink
  readonly to: ProbeLink
  readonly topic: string
  readonly payload?: string | Buffer
  readonly properties?: object
  readonly retain?: boolean
  readonly waitMs: number
}

const REFUSAL_MIN = 0x80

/** Subscribes, publishes and waits. @throws Error if a connection ends */
export async function deliver(sending: Sending): Promise<Delivery> {
  const { from, to, topic, payload = 'inferwire doctor', waitMs, properties, retain = false } = sending
  const granted = await to.subscribe(topic)
  const { reasonCode } = await from.publish(topic, payload, {
    retain,
    ...(properties === undefined ? {} : { properties }),
  })
  const isRefused = reasonCode >= REFUSAL_MIN
  const arrived = isRefused ? undefined : await to.first((message) => message.topic === topic, waitMs)
  return {
    refusedBy: isRefused ? reasonCode : undefined,
    subscriptionRefusedBy: granted >= REFUSAL_MIN ? granted : undefined,
    arrived,
  }
}

/** Returns a reason code as it is written in the specification. */
export function hex(code: number): string {
  return `0x${code.toString(16).padStart(2, '0')}`
}
