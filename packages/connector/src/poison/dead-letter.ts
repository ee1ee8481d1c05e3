// What is published of a request that was set aside: everything that is needed to look into it, or to send it again.
import type { MessageProperties } from '@inferwire/protocol'

/** A request that was set aside. */
export interface SetAside {
  readonly topic: string
  readonly properties: MessageProperties
  readonly payload: Uint8Array
  /** How often it was executed. */
  readonly attempts: number
  readonly reason: string
}

/** The dead letter's body: JSON, so that MQTT 3.1.1 can carry it too and a reader needs no tool. */
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
