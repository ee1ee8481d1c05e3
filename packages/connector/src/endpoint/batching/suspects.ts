// Remembers for a few seconds which clients sent a request that made a merged call fail.

// This time is short, because a gateway may send the requests of many devices. Finding one bad request among 64
// takes 13 calls.
const ALONE_MS = 5_000
const CLIENTS_MAX = 1_024

/** The clients whose requests have calls of their own for a while. */
export class Suspects {
  /** The time at which the suspicion of each client ends; the oldest entry is first. */
  readonly #untilMs = new Map<string, number>()

  has(client: string | undefined, nowMs: number): boolean {
    if (client === undefined || this.#untilMs.size === 0) return false
    const untilMs = this.#untilMs.get(client)
    if (untilMs === undefined || nowMs < untilMs) return untilMs !== undefined
    this.#untilMs.delete(client)
    return false
  }

  add(client: string, nowMs: number): void {
    this.#untilMs.delete(client)
    this.#untilMs.set(client, nowMs + ALONE_MS)
    if (this.#untilMs.size > CLIENTS_MAX) this.#untilMs.delete(this.#untilMs.keys().next().value!)
  }
}
