// The dead letter of a request that was set aside: everything that is needed to examine the request or to send it
// again.
import type { MessageProperties } from '@inferwire/protocol'

/** A request that was set aside. */
export interface SetAside {
  readonly topic: string
  readonly properties: MessageProperties
  readonly payload: Uint8Array
  /** How many times the request was executed. */
  readonly attempts: number
  readonly reason: string
}

/** Encodes the body of a dead letter as JSON, which works with MQTT 3.1.1 and is readable without a tool. */
export function deadLetterBody(
  { topic, properties, payload, attempts, reason }: SetAside,
  now: Date,
): Buffer {
  const { correlationData, ...others } = properties
  return Buffer.from(
    JSON.stringify({
      topic,
      properties: {
        ...others,
        ...(correlationData === undefined
          ? {}
          : { correlationData: Buffer.from(correlationData).toString('base64') }),
      },
      payload_base64: Buffer.from(payload).toString('base64'),
      attempts,
      reason,
      time: now.toISOString(),
    }),
  )
}
