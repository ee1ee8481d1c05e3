// A circuit breaker: while a model server is down, requests fail at once instead of waiting for it.
import { Problem, type ProblemCode } from '@inferwire/protocol'
import { problemFields, type CircuitState, type Log, type UpstreamFigures } from '../telemetry/index.ts'
import { UpstreamFailure } from './upstream-failure.ts'

/** When a circuit opens, and for how long. */
export interface CircuitOptions {
  /** Number of consecutive failures that open the circuit; 0 = it never opens. */
  readonly failuresMax: number
  /** Longest time from opening to the first probe. The interval then doubles after each failed probe. */
  readonly openMinMs: number
  /** Longest time between two probes, and therefore until a recovered server is detected. */
  readonly openMaxMs: number
  /** A timeout counts as a failure only if the server was silent for at least this long. */
  readonly timeoutMinMs: number
  /** Maximum number of concurrent probes, so that hanging probes do not occupy every slot of the gate. */
  readonly probesMax: number
  /** The model's name, for the operator's log. */
  readonly model: string
  readonly url: string
  readonly log: Log
  readonly figures: UpstreamFigures
  /** From 0 to 1. @default Math.random */
  readonly random?: () => number
}

// Knative removes the last pod only after 60 s without requests (its stable window). A server that answered more
// recently is running, and not in a cold start.
const WARM_MS = 60_000
// A pause between calls counts towards the time for which the server was silent only if it is not longer than this. In a
// longer pause, the server had nothing to answer.
const PAUSE_MS = 1_000

// Problems that prove that the server responded, unless a gateway sent them. `unauthorized_upstream` is not one of them:
// the connector has no token, or something in front of the server may have rejected the token.
const ANSWERS: ReadonlySet<ProblemCode> = new Set([
  'upstream_error',
  'upstream_invalid_response',
  'response_too_large',
])

/** What the result of a call implies about the server. */
type Sign = 'alive' | 'down' | 'nothing'

/**
 * Tracks the state of one model server without timers: the clock is read when a request arrives, and every probe is a
 * client's request. Therefore no probe starts a server that is scaled to zero, and a removed model leaves no timer.
 */
export class Circuit {
  /**
   * Called once for the first answer after a failure or after `expectAnswer`. If neither has happened, it is called
   * once for the first answer after the time set by `reportAnswerFrom`.
   */
  onReturn: ((isAfterFailure: boolean) => void) | undefined
  readonly #options: CircuitOptions
  #isReturnExpected = false
  #reportAnswerFromMs = Infinity
  #isOpen = false
  #hasEnded = false
  /** Incremented whenever the circuit opens or closes; results of calls from an earlier epoch are ignored. */
  #epoch = 0
  #failures = 0
  /** The server counts as warm until this time, `WARM_MS` after its last answer. */
  #warmUntilMs = -Infinity
  #openedAtMs = 0
  #intervalMs = 0
  #probeAtMs = 0
  #probes = 0
  #calls = 0
  #calledUntilMs = -Infinity
  /** Start of the current silence: since then, there were calls without long gaps between them, but no answer. */
  #silentSinceMs = 0

  constructor(options: CircuitOptions) {
    this.#options = options
  }

  /** Puts the circuit into use, so that the figures show it instead of its predecessor. */
  begin(): void {
    this.#options.figures.circuit = this
  }

  /** Takes the circuit out of use when the model is removed; calls still in flight no longer affect it. */
  end(): void {
    const { figures } = this.#options
    this.#isOpen = false
    this.#hasEnded = true
    this.onReturn = undefined
    if (figures.circuit === this) figures.circuit = undefined
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  get state(): CircuitState {
    if (!this.#isOpen) return 0
    return this.#probes > 0 ? 1 : 2
  }

  /** The current epoch. It is read when a call begins, and passed to `failed` or `endProbe` when the call ends. */
  get epoch(): number {
    return this.#epoch
  }

  /**
   * Records a failed attempt, whether or not it is retried. The server's next answer is then reported as a return,
   * unless the server was only full.
   */
  attemptFailed(error: unknown): void {
    if (!(error instanceof UpstreamFailure)) return
    if (error.sign !== 'busy' && error.sign !== 'rejected') this.#isReturnExpected = true
  }

  /** Ensures that the next answer is reported as a return, even if no failure precedes it. */
  expectAnswer(): void {
    this.#isReturnExpected = true
  }

  /** Ensures that the first answer at or after `atMs` (monotonic clock) is reported, even if no failure precedes it. */
  reportAnswerFrom(atMs: number): void {
    this.#reportAnswerFromMs = atMs
  }

  /** Records a call that begins while the circuit is closed. */
  called(nowMs: number): void {
    if (this.#calls === 0 && nowMs - this.#calledUntilMs > PAUSE_MS) this.#silentSinceMs = nowMs
    this.#calls += 1
  }

  /** Records the end of a call that began while the circuit was closed: its answer, or the first part of its answer. */
  answered(nowMs: number): void {
    this.#calls -= 1
    this.alive(nowMs)
  }

  /** Records a sign of life after `answered`: the end of a stream. */
  alive(nowMs: number): void {
    this.#silentSinceMs = nowMs
    this.#failures = 0
    this.#warmUntilMs = nowMs + WARM_MS
    this.#noteAnswer(nowMs)
  }

  /** Records the failure of a call that began while the circuit was closed. */
  failed(error: unknown, startedAtMs: number, epoch: number): void {
    const nowMs = performance.now()
    this.#calls -= 1
    this.#calledUntilMs = nowMs
    this.attemptFailed(error)
    // A model that replaced another may reject requests that its predecessor accepted; such an error proves that the
    // server answers.
    if (isModelsOwnError(error)) this.#noteAnswer(nowMs)
    // A call of an earlier epoch does not affect the circuit, nor does any call once the model has been removed.
    if (epoch !== this.#epoch || this.#hasEnded || this.#options.failuresMax === 0) return
    // A call queued behind hanging calls may have run only briefly, although the server was silent for much longer.
    const silentMs = nowMs - Math.min(startedAtMs, this.#silentSinceMs)
    const sign = this.#signOf(error, silentMs, startedAtMs < this.#warmUntilMs)
    if (sign === 'alive') this.#answeredWith(error, nowMs)
    else if (isWithoutServer(error)) this.#silentSinceMs = nowMs
    if (sign !== 'down') return
    this.#failures += 1
    if (this.#failures >= this.#options.failuresMax) this.#open(error, nowMs)
  }

  /** Returns `circuit_open`, or undefined if a request may proceed as a call or as a probe. */
  refusal(nowMs: number): Problem | undefined {
    const { probesMax, openMinMs, url } = this.#options
    const isDue = nowMs >= this.#probeAtMs
    if (!this.#isOpen || (isDue && this.#probes < probesMax)) return undefined
    return new Problem('circuit_open', 'The model server failed several times in a row.', {
      retryAfterMs: isDue ? openMinMs : Math.ceil(this.#probeAtMs - nowMs),
      detail: url,
    })
  }

  /**
   * Admits a request as a probe if one is due.
   * @throws Problem `circuit_open` otherwise.
   */
  beginProbe(nowMs: number): void {
    const problem = this.refusal(nowMs)
    if (problem !== undefined) throw problem
    this.#probes += 1
    // The next probe does not wait for a hanging probe, because the server may have recovered.
    this.#probeAtMs = nowMs + this.#options.openMaxMs
  }

  /** Records the result of a probe; `error` is undefined if it was answered. */
  endProbe(error: unknown, startedAtMs: number, epoch: number): void {
    if (epoch !== this.#epoch || this.#hasEnded) return
    const nowMs = performance.now()
    this.#probes -= 1
    // Treats the server as warm, so that the failure counts: cold starts need no exception, because the circuit is
    // already open.
    const sign = error === undefined ? 'alive' : this.#signOf(error, nowMs - startedAtMs, true)
    if (sign === 'alive') {
      this.#answeredWith(error, nowMs)
      this.#close(nowMs)
      return
    }
    if (sign === 'down') {
      this.#intervalMs = Math.min(this.#intervalMs * 2, this.#options.openMaxMs)
      this.#probeAtMs = nowMs + this.#jittered()
    } else {
      this.#probeAtMs = nowMs
    }
  }

  // A server that reports that it is starting is reachable, but does not count as warm.
  #answeredWith(error: unknown, nowMs: number): void {
    this.#failures = 0
    this.#silentSinceMs = nowMs
    const isStarting = error instanceof UpstreamFailure && error.sign === 'starting'
    if (!isStarting) this.#warmUntilMs = nowMs + WARM_MS
  }

  #signOf(error: unknown, silentMs: number, isWarm: boolean): Sign {
    if (!(error instanceof Problem)) return 'nothing'
    if (error instanceof UpstreamFailure) {
      if (error.sign === 'unreachable') return 'down'
      // Gateways (Knative, KEDA) also send this error during a cold start, so it counts only for a warm server.
      if (error.sign === 'no-answer') return isWarm ? 'down' : 'nothing'
      return error.refusal === undefined ? 'alive' : 'nothing'
    }
    // A gateway's refusal does not show whether the server runs.
    if (error.refusal !== undefined) return 'nothing'
    // Knative holds requests during a cold start, so a timeout counts only for a warm server.
    if (error.code === 'deadline_exceeded') {
      return isWarm && silentMs >= this.#options.timeoutMinMs ? 'down' : 'nothing'
    }
    return ANSWERS.has(error.code) ? 'alive' : 'nothing'
  }

  #open(error: unknown, nowMs: number): void {
    const { figures, log, model, url, openMinMs, openMaxMs } = this.#options
    const problem = Problem.from(error)
    const { message } = problem
    const failures = this.#failures
    this.#isOpen = true
    this.#epoch += 1
    this.#openedAtMs = nowMs
    this.#intervalMs = Math.min(openMinMs, openMaxMs)
    this.#probeAtMs = nowMs + this.#jittered()
    this.#probes = 0
    figures.circuitOpens += 1
    log.warn(
      {
        event: 'circuit_opened',
        model,
        url,
        ...problemFields(problem),
        failures,
      },
      `The circuit of model "${model}" opened: its server failed ${failures} times in a row. ${message} Requests are answered with circuit_open until a probe succeeds.`,
    )
  }

  #close(nowMs: number): void {
    const { log, model, url } = this.#options
    this.#isOpen = false
    this.#epoch += 1
    this.#probes = 0
    const openForMs = Math.round(nowMs - this.#openedAtMs)
    log.info(
      { event: 'circuit_closed', model, url, openForMs, reason: 'a request was answered' },
      `The circuit of model "${model}" closed: its server answers again.`,
    )
    this.#report(true)
  }

  #noteAnswer(nowMs: number): void {
    if (this.#isReturnExpected) this.#report(true)
    else if (nowMs >= this.#reportAnswerFromMs) this.#report(false)
  }

  #report(isAfterFailure: boolean): void {
    this.#isReturnExpected = false
    this.#reportAnswerFromMs = Infinity
    this.onReturn?.(isAfterFailure)
  }

  // Jitter spreads the probes of several replicas.
  #jittered(): number {
    const { random = Math.random } = this.#options
    return this.#intervalMs * (0.5 + random() / 2)
  }
}

// Returns true if the server did not receive the call, so that it was not silent either.
function isWithoutServer(error: unknown): boolean {
  return error instanceof Problem && (error.refusal !== undefined || error.code === 'unauthorized_upstream')
}

// Returns false for errors that a gateway sent in place of the model.
function isModelsOwnError(error: unknown): boolean {
  if (!(error instanceof Problem) || error instanceof UpstreamFailure) return false
  return error.code === 'upstream_error' && error.refusal === undefined
}
