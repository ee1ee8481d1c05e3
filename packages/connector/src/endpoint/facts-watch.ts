// Decides when a model server is asked what its model is.
//
// Any HTTP request starts a pod of a model that is scaled to zero (Knative, KEDA), and keeps it for a minute or more.
// The question must not be the reason that such a model runs. So:
// - A model that nothing is known about cannot be exposed. It is asked at the start, again after pauses that grow to
//   30 s, and at once when a request for it comes.
// - A model that is exposed, by its configuration or by an earlier answer, is not asked only because time has passed,
//   with the one exception below. It is asked once at the start, for its card. After that, only an answered request of a
//   client is a reason: the first one after a failure, because the server may be another one by then, or the first one
//   after a question that failed. Such questions are up to 30 s apart while the reasons follow each other. And the first
//   one that is a minute younger than the last answer to the question: a server may load another model without a
//   failure, and while it answers requests, the question does not keep it from being scaled to zero.
// - The exception: a server that answered in one dialect, or for one version, and failed in another is up. It is asked
//   again soon, for a minute at most. After that, what it answered is enough to serve, and it is asked as any exposed
//   model.
import { dialectNames, Problem } from '@inferwire/protocol'
import type { ModelFacts } from '../step.ts'
import type { Circuit } from './circuit.ts'

/** How to ask, and where the answer goes. */
export interface FactsWatchOptions {
  /** @throws Problem */
  readonly ask: (signal: AbortSignal) => Promise<ModelFacts>
  /** What the configuration says about the model; undefined = it is not exposed before its server has answered. */
  readonly known: ModelFacts | undefined
  /** Reports when the server answers again. */
  readonly circuit: Circuit
  readonly learned: (facts: ModelFacts) => void
  /** `retryInMs` is undefined when the next question waits for an answered request. */
  readonly failed: (problem: Problem, retryInMs: number | undefined) => void
  /** From 0 to 1. @default Math.random */
  readonly random?: () => number
}

const PAUSE_MIN_MS = 250
const PAUSE_MAX_MS = 30_000
// The pauses between these are a minute together, at most.
const INCOMPLETE_ASKS_MAX = 8
// Replicas see a server return at the same moment.
const RETURN_JITTER_MS = 1_000
// The least time between two questions because of returns; it doubles while they follow each other.
const RETURN_PAUSE_MIN_MS = 1_000
// A description that is older is asked for again after the next answered request.
const FRESH_MS = 60_000
// The least time between two questions because of requests.
const WANTED_PAUSE_MS = 1_000

/** One per model server; see the file's first lines. */
export class FactsWatch {
  readonly #options: FactsWatchOptions
  readonly #random: () => number
  readonly #stopping = new AbortController()
  #known: ModelFacts | undefined
  #isAsking = false
  /** A return after the last question was sent: its answer may be that of the server before. */
  #hasReturned = false
  #askedAtMs = 0
  /** 0 before the first return. */
  #returnPauseMs = 0
  #timer: NodeJS.Timeout | undefined
  #dueAtMs = 0
  /** Ends the pause under way. */
  #proceed: (() => void) | undefined

  constructor(options: FactsWatchOptions) {
    this.#options = options
    this.#known = options.known
    this.#random = options.random ?? Math.random
  }

  /** Asks for the first time. */
  start(): void {
    this.#options.circuit.onReturn = (isAfterFailure) => this.#returned(isAfterFailure)
    void this.#askUntilKnown()
  }

  /** A request came for a model that is not exposed yet: the question that waits is asked now. */
  wanted(): void {
    if (this.#proceed === undefined) return
    const dueAtMs = Math.max(performance.now(), this.#askedAtMs + WANTED_PAUSE_MS)
    if (dueAtMs < this.#dueAtMs) this.#waitUntil(dueAtMs)
  }

  /** Ends the question under way; `learned` and `failed` are not called any more. */
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
    // A return that waited for the longest pause to end still follows the last question.
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

  // Hands the outcome over. Undefined = the next question waits for a reason, else the pause before it.
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

// Where a server left a question open, what was known before stays.
function merged(known: ModelFacts | undefined, facts: ModelFacts): ModelFacts {
  if (known === undefined || isComplete(facts)) return facts
  const model = mergedModel(known, facts)
  if (facts.ofVersions === undefined) return model
  const versions = [...facts.ofVersions].map(([version, told]) => {
    const before = known.ofVersions?.get(version)
    return [version, told.state === 'unanswered' && before !== undefined ? before : told] as const
  })
  return { ...model, ofVersions: new Map(versions) }
}

function mergedModel(known: ModelFacts, facts: ModelFacts): ModelFacts {
  if (facts.unanswered.length === 0) return facts
  const kept = known.protocolVersions.filter((dialect) => facts.unanswered.includes(dialect))
  const protocolVersions = dialectNames().filter(
    (name) => facts.protocolVersions.includes(name) || kept.includes(name),
  )
  return { ...known, ...facts, protocolVersions }
}
