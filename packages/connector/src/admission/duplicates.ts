// Remembers requests that run or were answered, so that a redelivery or repetition is not executed again.
import type { Problem } from '@inferwire/protocol'
import type { Deadline, EndpointResponse } from '../step.ts'

/** How a request ended: the model's answer, or why there is none. */
export type Outcome = EndpointResponse | Problem

/** Whether a request ended with a problem. */
export function isProblem(outcome: Outcome): outcome is Problem {
  return outcome instanceof Error
}

/** The bounds of the memory. */
export interface DuplicateLimits {
  /** Bytes of remembered answers, keys included. */
  readonly bytesMax: number
  /** How long an answer is remembered whose request named no expiry, in milliseconds. */
  readonly windowMs: number
}

// A Map entry, its key's header, the outcome object: what an entry costs beside key and body.
const ENTRY_BYTES = 250
// An answer above this share of the memory would push out too many others.
const SHARE_OF_ONE = 1 / 8
// Requests of models that must not run twice, whose answers were forgotten; the oldest go first.
const FACTS_MAX = 65_536

/**
 * A request that was begun. Its repetitions wait for its outcome, and later ones find it here.
 * `outcome` stays undefined while it runs.
 */
export class Execution {
  outcome: Outcome | undefined
  readonly untilMs: number
  bytes = 0
  #waiting: ((outcome: Outcome) => void)[] | undefined

  constructor(untilMs: number) {
    this.untilMs = untilMs
  }

  /** Tells the outcome to everybody who waits. */
  end(outcome: Outcome): void {
    this.outcome = outcome
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting !== undefined) for (const tell of waiting) tell(outcome)
  }

  /** Resolves with the outcome. @throws the problem of the waiting request's own deadline. */
  wait(deadline: Deadline): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      if (deadline.problem !== undefined) return reject(deadline.problem)
      const tell = (outcome: Outcome): void => {
        deadline.waiting = undefined
        resolve(outcome)
      }
      ;(this.#waiting ??= []).push(tell)
      deadline.waiting = (problem) => {
        const index = this.#waiting?.indexOf(tell) ?? -1
        if (index !== -1) this.#waiting!.splice(index, 1)
        reject(problem)
      }
    })
  }
}

/** See the file's first line. Without timers: what is too old goes when something new comes. */
export class Duplicates {
  readonly #limits: DuplicateLimits
  // In the order in which they ended; a Map keeps the order of insertion.
  readonly #remembered = new Map<string, Execution>()
  readonly #running = new Map<string, Execution>()
  readonly #facts = new Map<string, number>()
  #bytes = 0

  constructor(limits: DuplicateLimits) {
    this.#limits = limits
  }

  /** Bytes of what is remembered. */
  get bytes(): number {
    return this.#bytes
  }

  /** Answers that are remembered. */
  get remembered(): number {
    return this.#remembered.size
  }

  /** The request with this key that runs, or whose answer is remembered. */
  find(key: string, nowMs: number): Execution | undefined {
    const running = this.#running.get(key)
    if (running !== undefined) return running
    const execution = this.#remembered.get(key)
    return execution !== undefined && execution.untilMs > nowMs ? execution : undefined
  }

  /** Whether a request with this key was executed, although its answer is forgotten. Only of `keepFact` requests. */
  wasExecuted(key: string, nowMs: number): boolean {
    return (this.#facts.get(key) ?? 0) > nowMs
  }

  /** Takes note that a request runs. `expirySeconds` is its Message Expiry Interval, `nowMs` the monotonic clock. */
  begin(key: string, nowMs: number, expirySeconds: number | undefined): Execution {
    const windowMs = expirySeconds === undefined ? this.#limits.windowMs : expirySeconds * 1000
    const execution = new Execution(nowMs + windowMs)
    this.#running.set(key, execution)
    return execution
  }

  /** The request ended and its outcome is final: whoever repeats it gets the same. */
  remember(key: string, execution: Execution, outcome: Outcome, nowMs: number, keepFact: boolean): void {
    this.#ended(key, execution)
    execution.end(outcome)
    if (keepFact) this.#keepFact(key, execution.untilMs)
    this.#dropOld(nowMs)
    const kept = ownMemory(outcome)
    execution.bytes = ENTRY_BYTES + key.length + (kept.body?.length ?? 0)
    if (execution.bytes > this.#limits.bytesMax * SHARE_OF_ONE) return
    execution.outcome = kept
    // An entry under the same key can only be older, or expired.
    this.#forget(key)
    this.#remembered.set(key, execution)
    this.#bytes += execution.bytes
    while (this.#bytes > this.#limits.bytesMax) this.#forget(this.#remembered.keys().next().value!)
  }

  /**
   * The request ended without a final outcome: repeated, it runs again. `mayHaveRun` keeps the fact for a model that
   * must not run twice.
   */
  forget(key: string, execution: Execution, outcome: Outcome, mayHaveRun: boolean): void {
    this.#ended(key, execution)
    if (mayHaveRun) this.#keepFact(key, execution.untilMs)
    execution.end(outcome)
  }

  #ended(key: string, execution: Execution): void {
    if (this.#running.get(key) === execution) this.#running.delete(key)
  }

  #keepFact(key: string, untilMs: number): void {
    this.#facts.delete(key)
    this.#facts.set(key, untilMs)
    if (this.#facts.size > FACTS_MAX) this.#facts.delete(this.#facts.keys().next().value!)
  }

  // Windows differ, so an old one may hide behind a longer one; the bytes bound what that costs.
  #dropOld(nowMs: number): void {
    for (const [key, execution] of this.#remembered) {
      if (execution.untilMs > nowMs) return
      this.#forget(key)
    }
  }

  #forget(key: string): void {
    const execution = this.#remembered.get(key)
    if (execution === undefined) return
    this.#remembered.delete(key)
    this.#bytes -= execution.bytes
  }
}

// A small body is a view into a socket's large read buffer, which it would keep alive.
function ownMemory(outcome: Outcome): Outcome {
  const { body } = outcome
  if (isProblem(outcome) || body === undefined || body.length * 2 > body.buffer.byteLength) return outcome
  return { ...outcome, body: Buffer.from(body) }
}
