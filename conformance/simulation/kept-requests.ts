// Simulates the folder of requests in safekeeping: it is in memory, and outlives the processes of a run. The
// connector's own functions encode and decode its files.
import { readKept, writeKept } from '../../packages/connector/src/internal.ts'
import type { Delivery } from '../../packages/connector/src/step.ts'
import type { RunEvent } from './history.ts'

/** The folder. Every change to it is an event of the run. */
export class KeptRequests {
  readonly #note: (event: RunEvent) => void
  readonly #texts = new Map<number, { readonly text: string; readonly key: string }>()
  #count = 0

  constructor(note: (event: RunEvent) => void) {
    this.#note = note
  }

  /** Number of unanswered requests. */
  get size(): number {
    return this.#texts.size
  }

  /** Keeps a request, like `Safekeeping.keep`. */
  keep(delivery: Delivery): (() => void) | undefined {
    if (delivery.isReleased) return undefined
    const id = ++this.#count
    // The key is not taken from the body, which may not be JSON.
    const { correlationData } = delivery.properties
    const key = correlationData === undefined ? delivery.topic.split('/').at(-1)! : String(correlationData)
    this.#texts.set(id, { text: writeKept(delivery), key })
    this.#note({ kind: 'kept', key })
    return () => this.#remove(id)
  }

  /** Returns the requests that earlier processes left, like `Safekeeping.kept`. */
  taken(process: number): Delivery[] {
    return [...this.#texts].map(([id, { text, key }]) => {
      const delivery = readKept(text, () => this.#remove(id))
      const { receivedAtMs, properties } = delivery
      this.#note({
        kind: 'taken',
        process,
        key,
        receivedAtMs,
        expirySeconds: properties.messageExpiryInterval,
      })
      return delivery
    })
  }

  #remove(id: number): void {
    const kept = this.#texts.get(id)
    if (kept === undefined) return
    this.#texts.delete(id)
    this.#note({ kind: 'kept-answered', key: kept.key })
  }
}
