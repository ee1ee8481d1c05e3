// Remembers running and answered requests, so that a redelivered or repeated request is not executed again.
import { Problem, type ProblemCode } from '@inferwire/protocol'
import type { Delivery, Outcome } from '../step.ts'
import { AnswerMemory, isProblem } from './answer-memory.ts'
import { Execution } from './execution.ts'

/** The limits of the memory. */
export interface DuplicateLimits {
  /** Size of the memory for answers, in bytes. */
  readonly bytesMax: number
  /** How long an answer is remembered if its request has no expiry, in milliseconds. */
  readonly windowMs: number
}

const NO_PAYLOAD = Buffer.alloc(0)
// A power of two, large enough to keep the chains short at the largest Receive Maximum.
const BUCKETS = 4096
// Limit on the keys of non-repeatable requests that are kept after their answers; the oldest are removed first.
const FACTS_MAX = 65_536

// These problems are not retryable, but a repeat may have a different outcome after the client or the operator has
// acted.
const PASSING: ReadonlySet<ProblemCode> = new Set([
  'cancelled',
  'unauthorized_upstream',
  'upstream_invalid_response',
])

// The model server, or a guard in front of it, rejected the request before it reached the model.
const NEVER_RAN: ReadonlySet<ProblemCode> = new Set([
  'model_not_ready',
  'overloaded',
  'circuit_open',
  'unauthorized_upstream',
])

/**
 * The running executions and the remembered outcomes. Uses no timers: expired entries are removed when new ones need
 * their place.
 */
export class Duplicates {
  readonly #windowMs: number
  // Not a Map: after many insertions and deletions, V8 links a Map's old tables to its new ones, which keeps deleted
  // entries reachable (decision 0009).
  readonly #running: (Execution | undefined)[] = Array.from({ length: BUCKETS }, () => undefined)
  readonly #memory: AnswerMemory
  readonly #facts = new Map<string, number>()

  constructor({ bytesMax, windowMs }: DuplicateLimits) {
    this.#memory = new AnswerMemory(bytesMax)
    this.#windowMs = windowMs
  }

  /** Number of bytes that the remembered answers occupy. */
  get bytes(): number {
    return this.#memory.used
  }

  /** Returns the running request with this key, or the remembered outcome of an earlier request with this key. */
  find(key: string, nowMs: number): Execution | Outcome | undefined {
    let execution = this.#running[bucketOf(key)]
    while (execution !== undefined && execution.key !== key) execution = execution.next
    return execution ?? this.#memory.find(key, nowMs)
  }

  /**
   * Registers a running request; `ended` must then be called exactly once. `nowMs` is a time of the monotonic clock.
   * @throws Problem `maybe_executed` if the model must not run twice and may have run.
   */
  begin(
    key: string,
    nowMs: number,
    { dup, properties, payload }: Delivery,
    isRepeatable: boolean,
  ): Execution {
    if (!isRepeatable && (dup || this.#mayHaveRun(key, nowMs))) {
      throw new Problem('maybe_executed', 'The request was received before and may have been executed.')
    }
    const { messageExpiryInterval } = properties
    const windowMs = messageExpiryInterval === undefined ? this.#windowMs : messageExpiryInterval * 1000
    const execution = new Execution(key, payload, nowMs + windowMs, messageExpiryInterval !== undefined)
    const bucket = bucketOf(key)
    execution.next = this.#running[bucket]
    this.#running[bucket] = execution
    return execution
  }

  /**
   * Ends a request: its repeats receive the same outcome. A final outcome is remembered, unless the operation reads a
   * state that changes, or the answer was a stream, whose parts are not kept.
   */
  ended(execution: Execution, outcome: Outcome, asksForState: boolean, nowMs: number): void {
    this.#remove(execution)
    // The window begins at the end of the call. Otherwise, the answer to a call that took longer than the window
    // would already have expired.
    if (!execution.hasExpiry) execution.untilMs = nowMs + this.#windowMs
    const isStream = execution.partsSent > 0 || (!isProblem(outcome) && outcome.endsStream === true)
    if (!asksForState && !isStream && isFinal(outcome)) {
      this.#memory.put(execution.key, execution.untilMs, outcome)
    }
    execution.end(outcome)
  }

  /** Replaces the remembered answer with a problem, because the reply cannot be delivered. */
  correct({ key, untilMs }: Execution, problem: Problem): void {
    this.#memory.put(key, untilMs, problem)
  }

  /**
   * Records that a request must not be executed again, unless it certainly was not executed. The record is kept longer
   * than the answer.
   */
  keepFact({ key, untilMs, partsSent }: Execution, outcome: Outcome): void {
    if (isProblem(outcome) && NEVER_RAN.has(outcome.code) && partsSent === 0) return
    this.#facts.delete(key)
    this.#facts.set(key, untilMs)
    if (this.#facts.size > FACTS_MAX) this.#facts.delete(this.#facts.keys().next().value!)
  }

  #mayHaveRun(key: string, nowMs: number): boolean {
    return (this.#facts.get(key) ?? 0) > nowMs
  }

  #remove(execution: Execution): void {
    const bucket = bucketOf(execution.key)
    const first = this.#running[bucket]
    if (first === execution) {
      this.#running[bucket] = execution.next
    } else {
      let previous = first!
      while (previous.next !== execution) previous = previous.next!
      previous.next = execution.next
    }
    execution.next = undefined
    execution.payload = NO_PAYLOAD
  }
}

// Not final: retryable problems, because another call may succeed; cancelled requests, because a client that repeats
// one wants it executed; failures on the way to the model, because they are temporary; and a 404 from the server,
// because the model, version or route may exist later.
function isFinal(outcome: Outcome): boolean {
  if (!isProblem(outcome)) return true
  return !outcome.retryable && outcome.status !== 404 && !PASSING.has(outcome.code)
}

// The bytes of a digest are evenly distributed.
function bucketOf(key: string): number {
  return (key.charCodeAt(0) | (key.charCodeAt(1) << 8)) & (BUCKETS - 1)
}
