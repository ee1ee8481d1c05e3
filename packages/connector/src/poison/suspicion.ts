// After an unclean end: runs what the broker delivers again one at a time, to find the request that ends the process.
import { hash } from 'node:crypto'
import type { MessageProperties } from '@inferwire/protocol'
import type { Deadline } from '../step.ts'
import type { Journal } from './journal.ts'

/** The parts of a delivery by which another process knows it again. */
export interface Suspect {
  readonly topic: string
  readonly payload: Buffer
  readonly properties: MessageProperties
  readonly dup: boolean
}

interface Waiting {
  readonly fingerprint: string
  readonly start: () => void
}

/** A request is executed once in a normal run and as often as this by suspicion: three times in all. */
export const ATTEMPTS_MAX = 2
// What comes again follows the subscription at once; after that much silence nothing more is expected.
const QUIET_MS = 1_000
// One at a time is slow: after this long only those run alone that were under way when a process ended.
const ALONE_MS = 5_000
// The journal has 64 records; more at once could not be told.
const WATCHED_MAX = 64
const NO_BYTES = new Uint8Array(0)

/**
 * Each request that comes again (DUP) may be the one that ended the process, so it runs alone, with a record on disk
 * while it does; new ones run beside it as always. Where that takes too long, the rest runs together but watched: of
 * those that are under way when the process ends, each runs alone the next time. With ATTEMPTS_MAX records it is poison.
 */
export class Suspicion {
  readonly #journal: Journal
  readonly #over: () => void
  readonly #random: () => number
  // Those of earlier processes.
  readonly #attempts: ReadonlyMap<string, number>
  readonly #waiting: Waiting[] = []
  #running = 0
  #isPatient = true
  #quiet: NodeJS.Timeout | undefined
  #patience: NodeJS.Timeout | undefined

  /** `over` is called once, when nobody is suspected any more. */
  constructor(journal: Journal, over: () => void, random = Math.random) {
    this.#journal = journal
    this.#over = over
    this.#random = random
    this.#attempts = new Map(journal.attempts)
  }

  /** Requests that wait to run alone. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** The session is subscribed: what comes again comes now. */
  begin(): void {
    this.#patience ??= setTimeout(() => {
      this.#isPatient = false
      this.#next()
    }, ALONE_MS)
    this.#listen()
  }

  /** Ends its timers. */
  stop(): void {
    clearTimeout(this.#quiet)
    clearTimeout(this.#patience)
  }

  /** The fingerprint of a delivery that is suspected; undefined = it may run as always. */
  suspectOf({ topic, payload, properties, dup }: Suspect): string | undefined {
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
      const runsAlone = this.#isPatient || this.#attempts.has(fingerprint)
      if (this.#running >= (runsAlone ? 1 : WATCHED_MAX)) return
      this.#waiting.splice(index, 1)
      this.#running += 1
      this.#journal.begin(fingerprint)
      start()
    }
    if (this.#running > 0 || this.#quiet !== undefined || this.#patience === undefined) return
    this.stop()
    this.#journal.clear()
    this.#over()
  }

  // Any one: kills from outside would otherwise meet the same one again and again, and convict it. Without patience
  // those first that may run together.
  #choose(): number {
    const together = this.#isPatient
      ? -1
      : this.#waiting.findIndex(({ fingerprint }) => !this.#attempts.has(fingerprint))
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
