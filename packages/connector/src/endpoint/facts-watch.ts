// Decides when to query a model server for its metadata.
//
// Any HTTP request to a model that is scaled to zero (Knative, KEDA) starts a pod, which runs for a minute or more.
// Metadata queries alone must not keep such a model running. Therefore:
// - A model without known metadata cannot be exposed. Its server is queried at the start, then after pauses that grow
//   to 30 s, and at once when a request for the model arrives.
// - The server of an exposed model is queried once at the start, for the card. After that, only a client's answered
//   request triggers a query, never the clock:
//   - the first answer after a failed request (the server may have been replaced) or after a failed query. If such
//     answers follow each other quickly, the pause between the queries grows to 30 s;
//   - the first answer more than a minute after the last query, because a server may load another model without a
//     failure. A server that answers requests is running anyway.
// - A server that is known to be scaled to zero (`when-awake`) is not even queried at the start. Its first answered
//   request triggers the first query.
// - A server whose every path runs the model (`never`) is not queried at all.
// - Exception: A server that answered for one dialect or version, and failed for another, is running. It is queried at
//   short intervals, for at most a minute. After that, its partial metadata is used, and the rule above applies.
import { dialectNames, Problem } from '@inferwire/protocol'
import type { ModelFacts, ModelTraits } from '../step.ts'
import type { Circuit } from './circuit.ts'

/** Options of `FactsWatch`: the query, and the callbacks for its result. */
export interface FactsWatchOptions {
  /** @throws Problem */
  readonly ask: (signal: AbortSignal) => Promise<ModelFacts>
  /** Facts from the configuration; undefined = the model is not exposed before its server has answered. */
  readonly known: ModelFacts | undefined
  /** Restricts the queries; requires `known` unless it is `usual`. @default usual */
  readonly queries?: ModelTraits['queries']
  /** Reports when the server answers again. */
  readonly circuit: Circuit
  readonly learned: (facts: ModelFacts) => void
  /** `retryInMs` is undefined if the next query waits until the server answers a request. */
  readonly failed: (problem: Problem, retryInMs: number | undefined) => void
  /** From 0 to 1. @default Math.random */
  readonly random?: () => number
}

const PAUSE_MIN_MS = 250
const PAUSE_MAX_MS = 30_000
// Maximum number of consecutive queries while the metadata is incomplete. Their pauses add up to at most a minute.
const INCOMPLETE_ASKS_MAX = 8
// Spreads the queries of several replicas, which all detect a server's return at the same time.
const RETURN_JITTER_MS = 1_000
// Minimum time between two queries triggered by returns of the server; doubles while the returns follow each other
// quickly.
const RETURN_PAUSE_MIN_MS = 1_000
// How long metadata counts as fresh; older metadata is queried again after the next answered request.
const FRESH_MS = 60_000
// Minimum time between two queries triggered by requests.
const WANTED_PAUSE_MS = 1_000

/** Schedules the metadata queries to one model server; the rules are at the top of this file. */
export class FactsWatch {
  readonly #options: FactsWatchOptions
  readonly #random: () => number
  readonly #stopping = new AbortController()
  #known: ModelFacts | undefined
  #isAsking = false
  /**
   * Whether the server returned after the last query was sent. If so, the result may describe the server's
   * predecessor.
   */
  #hasReturned = false
  #askedAtMs = 0
  /** The current pause after a return of the server; 0 before the first return. */
  #returnPauseMs = 0
  #timer: NodeJS.Timeout | undefined
  #dueAtMs = 0
  /** Ends the current pause. */
  #proceed: (() => void) | undefined

  constructor(options: FactsWatchOptions) {
    this.#options = options
    this.#known = options.known
    this.#random = options.random ?? Math.random
  }

  /** Starts the first query, as far as the server may be queried. */
  start(): void {
    const { queries = 'usual', circuit } = this.#options
    if (queries === 'never') return
    circuit.onReturn = (isAfterFailure) => this.#returned(isAfterFailure)
    if (queries === 'when-awake') circuit.reportAnswerFrom(-Infinity)
    else void this.#askUntilKnown()
  }

  /** Brings the next query forward, because a request arrived for a model that is not exposed yet. */
  wanted(): void {
    if (this.#proceed === undefined) return
    const dueAtMs = Math.max(performance.now(), this.#askedAtMs + WANTED_PAUSE_MS)
    if (dueAtMs < this.#dueAtMs) this.#waitUntil(dueAtMs)
  }

  /** Aborts the current query; `learned` and `failed` are no longer called. */
  stop(): void {
    this.#stopping.abort()
    this.#options.circuit.onReturn = undefined
    this.#proceed?.()
  }

  #returned(isAfterFailure: boolean): void {
    if (this.#isAsking) {
      this.#hasReturned = true
      return
    }
    if (!isAfterFailure) {
      void this.#askUntilKnown(this.#random() * RETURN_JITTER_MS, 1)
      return
    }
    const sinceMs = performance.now() - this.#askedAtMs
    if (sinceMs < this.#returnPauseMs) {
      this.#options.circuit.expectAnswer()
      return
    }
    // The current pause may have delayed the reaction to this return by up to `PAUSE_MAX_MS`. Therefore the pause
    // is reset only after twice that time.
    if (sinceMs > 2 * PAUSE_MAX_MS) this.#returnPauseMs = 0
    this.#returnPauseMs = Math.min(Math.max(RETURN_PAUSE_MIN_MS, this.#returnPauseMs * 2), PAUSE_MAX_MS)
    void this.#askUntilKnown(this.#random() * RETURN_JITTER_MS)
  }

  async #askUntilKnown(delayMs = 0, incompleteAsksMax = INCOMPLETE_ASKS_MAX): Promise<void> {
    this.#isAsking = true
    if (delayMs > 0) await this.#pause(delayMs)
    for (let count = 1; !this.#stopping.signal.aborted; count += 1) {
      const outcome = await this.#ask()
      if (this.#stopping.signal.aborted) return
      const pauseMs = this.#settle(outcome, count, incompleteAsksMax)
      if (pauseMs === undefined) break
      await this.#pause(pauseMs)
    }
    this.#isAsking = false
    if (this.#hasReturned) this.#options.circuit.expectAnswer()
    this.#options.circuit.reportAnswerFrom(this.#askedAtMs + FRESH_MS)
  }

  async #ask(): Promise<ModelFacts | Problem> {
    this.#hasReturned = false
    try {
      return await this.#options.ask(this.#stopping.signal)
    } catch (error) {
      return Problem.from(error)
    } finally {
      this.#askedAtMs = performance.now()
    }
  }

  // Reports the outcome. Returns the pause before the next query, or undefined if the next query waits for an event.
  #settle(outcome: ModelFacts | Problem, count: number, incompleteAsksMax: number): number | undefined {
    const { learned, failed, circuit } = this.#options
    const wasExposed = this.#known !== undefined
    const pauseMs = Math.min(PAUSE_MIN_MS * 2 ** (count - 1), PAUSE_MAX_MS) * (0.5 + this.#random() / 2)
    if (!(outcome instanceof Problem)) {
      this.#known = merged(this.#known, outcome)
      learned(this.#known)
      return isComplete(outcome) || count >= incompleteAsksMax ? undefined : pauseMs
    }
    failed(outcome, wasExposed ? undefined : Math.round(pauseMs))
    if (!wasExposed) return pauseMs
    circuit.expectAnswer()
    return undefined
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#proceed = resolve
      this.#waitUntil(performance.now() + ms)
    })
    clearTimeout(this.#timer)
    this.#proceed = undefined
  }

  #waitUntil(dueAtMs: number): void {
    clearTimeout(this.#timer)
    this.#dueAtMs = dueAtMs
    this.#timer = setTimeout(() => this.#proceed?.(), Math.max(0, dueAtMs - performance.now()))
  }
}

function isComplete({ unanswered, ofVersions }: ModelFacts): boolean {
  if (unanswered.length > 0) return false
  return [...(ofVersions?.values() ?? [])].every(({ state }) => state !== 'unanswered')
}

// Keeps the known facts of each dialect or version for which there was no answer.
function merged(known: ModelFacts | undefined, facts: ModelFacts): ModelFacts {
  if (known === undefined || isComplete(facts)) return facts
  const model = mergedModel(known, facts)
  if (facts.ofVersions === undefined) return model
  const versions = [...facts.ofVersions].map(([version, latest]) => {
    const before = known.ofVersions?.get(version)
    return [version, latest.state === 'unanswered' && before !== undefined ? before : latest] as const
  })
  return { ...model, ofVersions: new Map(versions) }
}

function mergedModel(known: ModelFacts, facts: ModelFacts): ModelFacts {
  if (facts.unanswered.length === 0) return facts
  const kept = known.protocolVersions.filter((dialect) => facts.unanswered.includes(dialect))
  const protocolVersions = dialectNames().filter(
    (name) => facts.protocolVersions.includes(name) || kept.includes(name),
  )
  const optionalOperations = [
    ...new Set([...(known.optionalOperations ?? []), ...(facts.optionalOperations ?? [])]),
  ]
  const optional = optionalOperations.length === 0 ? {} : { optionalOperations }
  return { ...known, ...facts, protocolVersions, ...optional }
}
