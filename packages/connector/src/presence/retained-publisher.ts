// Keeps retained topics at their newest value: one publish per topic is on its way, and only the newest waits.

/** Publishes a retained message; resolves when the broker has taken or refused it. Never rejects. */
export type SendRetained = (topic: string, payload: string) => Promise<void>

interface Slot {
  inFlight: string
  next: string | undefined
  settled: Promise<void>
}

/**
 * See the file's first line. Across a flapping connection at most one message per topic waits for the broker, however
 * often it was published anew.
 */
export class RetainedPublisher {
  readonly #send: SendRetained
  // Bounded by the topics that have something to say: statuses and cards of configured models.
  readonly #slots = new Map<string, Slot>()

  constructor(send: SendRetained) {
    this.#send = send
  }

  /** An empty payload takes the retained message away. Resolves when nothing newer is left to publish on the topic. */
  publish(topic: string, payload: string): Promise<void> {
    const known = this.#slots.get(topic)
    if (known === undefined) {
      const slot: Slot = { inFlight: payload, next: undefined, settled: Promise.resolve() }
      this.#slots.set(topic, slot)
      slot.settled = this.#run(topic, slot)
      return slot.settled
    }
    // What is on its way is published again after a lost connection: the same value needs no second message.
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
