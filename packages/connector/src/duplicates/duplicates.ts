// Remembers requests that run or were answered, so that a redelivery or repetition is not executed again.
import { Problem, type ProblemCode } from '@inferwire/protocol'
import type { Delivery, Outcome } from '../step.ts'
import { AnswerMemory, isProblem } from './answer-memory.ts'
import { Execution } from './execution.ts'

/** The bounds of the memory. */
export interface DuplicateLimits {
  /** Bytes for remembered answers. */
  readonly bytesMax: number
  /** How long an answer is remembered whose request named no expiry, in milliseconds. */
  readonly windowMs: number
}

const NO_PAYLOAD = Buffer.alloc(0)
// A power of two, and enough for short chains at the largest Receive Maximum.
const BUCKETS = 4096
// Requests of models that must not run twice, whose answers were forgotten; the oldest go first.
const FACTS_MAX = 65_536

// Not retryable, but the same request has another outcome after the client or the operator has acted.
const PASSING: ReadonlySet<ProblemCode> = new Set([
  'cancelled',
  'unauthorized_upstream',
  'upstream_invalid_response',
])

// The model server, or a guard in front of it, turned the request away before the model saw it.
const NEVER_RAN: ReadonlySet<ProblemCode> = new Set([
  'model_not_ready',
  'overloaded',
  'circuit_open',
  'unauthorized_upstream',
])

/** See the file's first line. Without timers: what is too old goes when something new comes. */
export class Duplicates {
  readonly #windowMs: number
  // Not a Map: when much comes and goes, V8 chains its tables old to new, and keeps the dead alive with them.
  readonly #running: (Execution | undefined)[] = Array.from({ length: BUCKETS }, () => undefined)
  readonly #memory: AnswerMemory
  readonly #facts = new Map<string, number>()

  constructor({ bytesMax, windowMs }: DuplicateLimits) {
    this.#memory = new AnswerMemory(bytesMax)
    this.#windowMs = windowMs
  }

  /** Bytes of what is remembered. */
  get bytes(): number {
    return this.#memory.used
  }

  /** The request with this key that runs, or the outcome of an earlier one. */
  find(key: string, nowMs: number): Execution | Outcome | undefined {
    let execution = this.#running[bucketOf(key)]
    while (execution !== undefined && execution.key !== key) execution = execution.next
    return execution ?? this.#memory.find(key, nowMs)
  }

  /**
   * Takes note that a request runs; then `ended` must be called once. `nowMs` is the monotonic clock.
   * @throws Problem `maybe_executed` where the model must not run twice and may have run.
   */
  begin(
    key: string,
    nowMs: number,
    { dup, properties, payload }: Delivery,
    isRepeatable: boolean,
  ): Execution {
    if (!isRepeatable && (dup || this.#mayHaveRun(key, nowMs))) {
      throw new Problem('maybe_executed', 'The request came before, and may have been executed then.')
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
   * The request ended: its repetitions get the same outcome. A final one is remembered, unless the operation asks for
   * a state that changes; a stream is not, because its parts are gone.
   */
  ended(execution: Execution, outcome: Outcome, asksForState: boolean, nowMs: number): void {
    this.#remove(execution)
    // A call that took longer than the window would be forgotten before its answer is known.
    if (!execution.hasExpiry) execution.untilMs = nowMs + this.#windowMs
    if (!asksForState && execution.partsSent === 0 && isFinal(outcome)) {
      this.#memory.put(execution.key, execution.untilMs, outcome)
    }
    execution.end(outcome)
  }

  /** Its answer can reach nobody: whoever repeats it gets the problem. */
  correct({ key, untilMs }: Execution, problem: Problem): void {
    this.#memory.put(key, untilMs, problem)
  }

  /** Remembers, for longer than its answer, that a request must not run again, unless it surely did not run. */
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

// A retryable problem is worth another call, and a client that repeats what it cancelled means it. What the way to the
// model refused, and a server's 404 (a model, a version or a route that is not there yet), is about the moment and not
// about the request.
function isFinal(outcome: Outcome): boolean {
  if (!isProblem(outcome)) return true
  return !outcome.retryable && outcome.status !== 404 && !PASSING.has(outcome.code)
}

// The bytes of a digest are as good as random.
function bucketOf(key: string): number {
  return (key.charCodeAt(0) | (key.charCodeAt(1) << 8)) & (BUCKETS - 1)
}
