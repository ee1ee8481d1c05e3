// Monitors redelivered requests after an unclean shutdown, to find the request that crashes the process.
import { hash } from 'node:crypto'
import type { Deadline, Delivery } from '../step.ts'
import type { Journal } from './journal.ts'

interface Waiting {
  readonly fingerprint: string
  readonly start: () => void
}

/** How often a suspected request is executed before it counts as poison. */
export const ATTEMPTS_MAX = 2
/**
 * How often a poison request is executed in total: once before it is suspected, then ATTEMPTS_MAX times under
 * suspicion.
 */
export const EXECUTIONS_MAX = 1 + ATTEMPTS_MAX
// Redeliveries follow the subscription immediately; after this much silence no further redeliveries are expected.
const QUIET_MS = 1_000
// The journal has room for 64 records; further concurrent requests would have no record.
const WATCHED_MAX = 64
const NO_BYTES = new Uint8Array(0)

/**
 * Monitors redelivered requests (DUP) while they run: each has a record on disk, so that if this process crashes, the
 * next process knows which requests were in flight. A request that was in flight during an earlier crash runs alone,
 * and a request with ATTEMPTS_MAX records is poison. Running all requests alone from the start would be slow, and would
 * hold back the acknowledgements of all later requests.
 */
export class Suspicion {
  readonly #journal: Journal
  readonly #over: () => void
  readonly #random: () => number
  // The number of crashes that earlier processes recorded for each fingerprint.
  readonly #attempts: ReadonlyMap<string, number>
  readonly #waiting: Waiting[] = []
  #running = 0
  #quiet: NodeJS.Timeout | undefined
  #hasBegun = false

  /** @param over called exactly once, when no request is suspected any more */
  constructor(journal: Journal, over: () => void, random = Math.random) {
    this.#journal = journal
    this.#over = over
    this.#random = random
    this.#attempts = new Map(journal.attempts)
  }

  /** Number of requests that wait for their turn. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Must be called as soon as the session is subscribed, because redeliveries follow immediately. */
  begin(): void {
    this.#hasBegun = true
    this.#extend()
  }

  /** Stops the timer. */
  stop(): void {
    clearTimeout(this.#quiet)
  }

  /** Returns the fingerprint of a suspected delivery; undefined if it may run as usual. */
  suspectOf({
    topic,
    payload,
    properties,
    dup,
  }: Pick<Delivery, 'topic' | 'payload' | 'properties' | 'dup'>): string | undefined {
    const name = Buffer.concat([Buffer.from(`${topic}\0`), properties.correlationData ?? NO_BYTES])
    const fingerprint = `${hash('sha1', name, 'base64url')}.${hash('sha1', payload, 'base64url')}`
    return dup || this.#attempts.has(fingerprint) ? fingerprint : undefined
  }

  /** Number of processes that crashed while the request was in flight. */
  attemptsOf(fingerprint: string): number {
    return this.#attempts.get(fingerprint) ?? 0
  }

  /** Resolves when the request may run; `leave` must then be called exactly once. @throws the deadline's problem. */
  enter(fingerprint: string, deadline: Deadline): Promise<void> {
    this.#extend()
    return new Promise((resolve, reject) => {
      if (deadline.problem !== undefined) return reject(deadline.problem)
      const start = (): void => {
        deadline.waiting = undefined
        resolve()
      }
      const waiting = { fingerprint, start }
      this.#waiting.push(waiting)
      deadline.waiting = (problem) => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
        reject(problem)
        this.#next()
      }
      this.#next()
    })
  }

  /** Records that the request has ended without crashing the process. */
  leave(fingerprint: string): void {
    this.#running -= 1
    this.#journal.end(fingerprint)
    this.#next()
  }

  #next(): void {
    while (this.#waiting.length > 0) {
      const index = this.#choose()
      const { fingerprint, start } = this.#waiting[index]!
      if (this.#running >= (this.#attempts.has(fingerprint) ? 1 : WATCHED_MAX)) return
      this.#waiting.splice(index, 1)
      this.#running += 1
      this.#journal.begin(fingerprint)
      start()
    }
    if (this.#running > 0 || this.#quiet !== undefined || !this.#hasBegun) return
    this.stop()
    this.#journal.clear()
    this.#over()
  }

  // Requests that may run together come first. Requests that run alone are chosen at random, because if the process is
  // killed from outside repeatedly, a fixed order would put the blame on the same request each time.
  #choose(): number {
    const together = this.#waiting.findIndex(({ fingerprint }) => !this.#attempts.has(fingerprint))
    return together === -1 ? Math.floor(this.#random() * this.#waiting.length) : together
  }

  // Restarts the timer: suspicion ends only after a period without redeliveries.
  #extend(): void {
    clearTimeout(this.#quiet)
    this.#quiet = setTimeout(() => {
      this.#quiet = undefined
      this.#next()
    }, QUIET_MS)
  }
}
