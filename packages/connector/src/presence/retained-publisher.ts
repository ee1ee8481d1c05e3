// Publishes the newest value of each retained topic: one message in flight per topic, and at most one queued.

/** Publishes a retained message; resolves when the broker has acknowledged or refused it. Never rejects. */
export type SendRetained = (topic: string, payload: string) => Promise<void>

interface Slot {
  inFlight: string
  next: string | undefined
  settled: Promise<void>
}

/**
 * Publishes retained messages. Even on an unstable connection, at most one message per topic is queued, however often
 * the value changes.
 */
export class RetainedPublisher {
  readonly #send: SendRetained
  // The number of slots is limited, because the only topics are the status topic and the card topics of models.
  readonly #slots = new Map<string, Slot>()

  constructor(send: SendRetained) {
    this.#send = send
  }

  /** Publishes a value; an empty payload clears the topic. Resolves when no newer value is queued. */
  publish(topic: string, payload: string): Promise<void> {
    const known = this.#slots.get(topic)
    if (known === undefined) {
      const slot: Slot = { inFlight: payload, next: undefined, settled: Promise.resolve() }
      this.#slots.set(topic, slot)
      slot.settled = this.#run(topic, slot)
      return slot.settled
    }
    // The message in flight is resent after the connection is lost, so an identical value needs no second message.
    known.next = payload === known.inFlight ? undefined : payload
    return known.settled
  }

  async #run(topic: string, slot: Slot): Promise<void> {
    for (;;) {
      await this.#send(topic, slot.inFlight)
      if (slot.next === undefined) break
      slot.inFlight = slot.next
      slot.next = undefined
    }
    this.#slots.delete(topic)
  }
}
