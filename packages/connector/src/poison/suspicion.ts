// After an unclean end: watches what the broker delivers again, to find the request that ends the process.
import { hash } from 'node:crypto'
import type { Deadline, Delivery } from '../step.ts'
import type { Journal } from './journal.ts'

interface Waiting {
  readonly fingerprint: string
  readonly start: () => void
}

/** How often a request is executed under suspicion before it is poison. */
export const ATTEMPTS_MAX = 2
/** Once in a normal run, the rest under suspicion. */
export const EXECUTIONS_MAX = 1 + ATTEMPTS_MAX
// What comes again follows the subscription at once; after that much silence nothing more is expected.
const QUIET_MS = 1_000
// The journal has 64 records; more at once could not be told.
const WATCHED_MAX = 64
const NO_BYTES = new Uint8Array(0)

/**
 * Requests that come again (DUP) run as always but watched: each with a record on disk, so that the next process knows
 * which were under way when this one ended. Those of earlier processes run alone, and the one with ATTEMPTS_MAX records
 * is poison. Alone from the first would be slow, and hold back the acknowledgements of everything that came later.
 */
export class Suspicion {
  readonly #journal: Journal
  readonly #over: () => void
  readonly #random: () => number
  // Those of earlier processes.
  readonly #attempts: ReadonlyMap<string, number>
  readonly #waiting: Waiting[] = []
  #running = 0
  #quiet: NodeJS.Timeout | undefined
  #hasBegun = false

  /** `over` is called once, when nobody is suspected any more. */
  constructor(journal: Journal, over: () => void, random = Math.random) {
    this.#journal = journal
    this.#over = over
    this.#random = random
    this.#attempts = new Map(journal.attempts)
  }

  /** Requests that wait for their turn. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** The session is subscribed: what comes again comes now. */
  begin(): void {
    this.#hasBegun = true
    this.#listen()
  }

  /** Ends its timer. */
  stop(): void {
    clearTimeout(this.#quiet)
  }

  /** The fingerprint of a delivery that is suspected; undefined = it may run as always. */
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

  /** How often the request was under way when a process ended. */
  attemptsOf(fingerprint: string): number {
    return this.#attempts.get(fingerprint) ?? 0
  }

  /** Resolves when the request may run; then `leave` must be called once. @throws the problem of its deadline. */
  enter(fingerprint: string, deadline: Deadline): Promise<void> {
    this.#listen()
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

  /** The process survived the request. */
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

  // First those that may run together. Of those that run alone any one: kills from outside would otherwise meet the same
  // one again and again, and convict it.
  #choose(): number {
    const together = this.#waiting.findIndex(({ fingerprint }) => !this.#attempts.has(fingerprint))
    return together === -1 ? Math.floor(this.#random() * this.#waiting.length) : together
  }

  // Still coming: not before a while without anything delivered again is everybody here.
  #listen(): void {
    clearTimeout(this.#quiet)
    this.#quiet = setTimeout(() => {
      this.#quiet = undefined
      this.#next()
    }, QUIET_MS)
  }
}
