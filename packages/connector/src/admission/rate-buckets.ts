// Limits the rate of requests: a token bucket for each client of each rule, in bounded memory.
import { ownCopy } from './own-copy.ts'

/** The rate that a rule allows to each of its clients. */
export interface Rate {
  /** Identifies the buckets of the rule. */
  readonly name: string
  readonly requestsPerSecond: number
  /** Number of requests that may arrive at once. */
  readonly burst: number
}

// Limit on the number of buckets, at roughly 120 bytes each.
const BUCKETS_MAX = 50_000

/**
 * The buckets that are not full. Each is stored as the time at which it will be full again (the generic cell rate
 * algorithm, ITU-T I.371), so a full bucket needs no memory.
 */
export class RateBuckets {
  /** By rule, then by client: times on the monotonic clock, in milliseconds. */
  readonly #fullAtMs = new Map<string, Map<string, number>>()
  #size = 0

  /** Number of buckets that are kept. */
  get size(): number {
    return this.#size
  }

  /** Takes a token. Returns 0, or the time in milliseconds after which a token will be available. */
  take({ name, requestsPerSecond, burst }: Rate, client: string, nowMs: number): number {
    const tokenMs = 1000 / requestsPerSecond
    let clients = this.#fullAtMs.get(name)
    const known = clients?.get(client)
    const fullAtMs = known === undefined || known < nowMs ? nowMs : known
    const waitMs = fullAtMs - nowMs - (burst - 1) * tokenMs
    if (waitMs > 0) return waitMs
    if (known === undefined) {
      if (this.#size >= BUCKETS_MAX) {
        this.#makeRoom(nowMs)
        clients = this.#fullAtMs.get(name)
      }
      if (clients === undefined) this.#fullAtMs.set(name, (clients = new Map<string, number>()))
      this.#size += 1
      clients.set(ownCopy(client), fullAtMs + tokenMs)
    } else {
      clients!.set(client, fullAtMs + tokenMs)
    }
    return 0
  }

  // Drops the full buckets. If more than half of the places are still taken, also drops the buckets that were added
  // first: their clients get a full bucket again, which is better than memory without limit.
  #makeRoom(nowMs: number): void {
    this.#drop((fullAtMs) => fullAtMs <= nowMs)
    this.#drop(() => this.#size > BUCKETS_MAX / 2)
  }

  #drop(isDropped: (fullAtMs: number) => boolean): void {
    for (const [name, clients] of this.#fullAtMs) {
      for (const [client, fullAtMs] of clients) {
        if (!isDropped(fullAtMs)) continue
        clients.delete(client)
        this.#size -= 1
      }
      if (clients.size === 0) this.#fullAtMs.delete(name)
    }
  }
}
