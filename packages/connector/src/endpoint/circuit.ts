// Remembers whether a model server answers, so that nobody waits for one that does not.
import { Problem, type ProblemCode } from '@inferwire/protocol'
import type { CircuitState, Log, UpstreamFigures } from '../telemetry/index.ts'
import { UpstreamFailure } from './upstream-failure.ts'

/** When a circuit opens, and how long it stays so. */
export interface CircuitOptions {
  /** Failures in a row that open it; 0 = it never opens. */
  readonly failuresMax: number
  /** Longest time from the opening to the first probe; it doubles with each probe that fails. */
  readonly openMinMs: number
  /** Longest time between two probes, and so between a server's return and its being noticed. */
  readonly openMaxMs: number
  /** A time-out counts when the server was silent for at least this long: a short deadline says nothing of it. */
  readonly timeoutMinMs: number
  /** Probes that may hang at once; the calls of the others must not wait for them. */
  readonly probesMax: number
  /** For the operator's log. */
  readonly model: string
  readonly url: string
  readonly log: Log
  readonly figures: UpstreamFigures
  /** From 0 to 1. @default Math.random */
  readonly random?: () => number
}

// Knative takes the last pod away after 60 s without a request at the earliest (its stable window). A server that
// answered less than that ago is there, and is not being started.
const WARM_MS = 60_000
// A server that nobody asks for this long is not silent.
const PAUSE_MS = 1_000

// Something answered, if not well.
const ANSWERS: ReadonlySet<ProblemCode> = new Set([
  'upstream_error',
  'upstream_invalid_response',
  'response_too_large',
  'unauthorized_upstream',
])

/** What an ended call says of its server. */
type Sign = 'alive' | 'down' | 'nothing'

/**
 * One per model server. No timers: time is looked at when a request comes, and a probe is a request. So nothing wakes
 * a server that is scaled to zero, and nothing is left behind when the model goes.
 */
export class Circuit {
  /**
   * Called when the server answers a request after a failure or after `expectAnswer`, and, without a failure, when it
   * answers one after the time of `reportAnswerFrom`; once each time.
   */
  onReturn: ((isAfterFailure: boolean) => void) | undefined
  readonly #options: CircuitOptions
  #isReturnExpected = false
  #reportAnswerFromMs = Infinity
  #isOpen = false
  #hasEnded = false
  /** Changes whenever the circuit opens or closes: what began before says nothing of now. */
  #epoch = 0
  #failures = 0
  /** The server has answered less than `WARM_MS` before. */
  #warmUntilMs = -Infinity
  #openedAtMs = 0
  #intervalMs = 0
  #probeAtMs = 0
  #probes = 0
  #calls = 0
  #calledUntilMs = -Infinity
  /** Since when the server was asked, one call after the other, and answered nothing. */
  #silentSinceMs = 0

  constructor(options: CircuitOptions) {
    this.#options = options
  }

  /** The model is asked through this circuit from now on: the figures show it, and no longer its predecessor. */
  begin(): void {
    this.#options.figures.circuit = this
  }

  /** The model goes; calls that still run end quietly. */
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

  /** To be handed to `failed` with the call that begins now. */
  get epoch(): number {
    return this.#epoch
  }

  /** A try has failed, one that is tried again included: the next answer is a return, except from a server that is full. */
  triedInVain(error: unknown): void {
    if (!(error instanceof UpstreamFailure)) return
    if (error.sign !== 'busy' && error.sign !== 'turned-away') this.#isReturnExpected = true
  }

  /** The next answer is reported as a return, also without a failure before it. */
  expectAnswer(): void {
    this.#isReturnExpected = true
  }

  /** The first answer from then on (monotonic clock) is reported, also without a failure before it. */
  reportAnswerFrom(atMs: number): void {
    this.#reportAnswerFromMs = atMs
  }

  /** A call begins while the circuit is closed. */
  called(nowMs: number): void {
    if (this.#calls === 0 && nowMs - this.#calledUntilMs > PAUSE_MS) this.#silentSinceMs = nowMs
    this.#calls += 1
  }

  /** A call that began while the circuit was closed got its answer. */
  answered(nowMs: number): void {
    this.#calls -= 1
    this.#silentSinceMs = nowMs
    this.#failures = 0
    this.#warmUntilMs = nowMs + WARM_MS
    this.#noteAnswer(nowMs)
  }

  /** A call that began while the circuit was closed has failed. */
  failed(error: unknown, startedAtMs: number, epoch: number): void {
    const nowMs = performance.now()
    this.#calls -= 1
    this.#calledUntilMs = nowMs
    this.triedInVain(error)
    // A model that has other inputs now refuses the requests for the old ones: that is an answer too.
    if (isModelsOwnError(error)) this.#noteAnswer(nowMs)
    // What began before the circuit last opened or closed says nothing of now.
    if (epoch !== this.#epoch || this.#hasEnded || this.#options.failuresMax === 0) return
    // Behind calls that hang, others get their turn when little of their time is left; the silence is all the same.
    const silentMs = nowMs - Math.min(startedAtMs, this.#silentSinceMs)
    const sign = this.#signOf(error, silentMs, startedAtMs < this.#warmUntilMs)
    if (sign === 'alive') this.#answeredWith(error, nowMs)
    if (sign !== 'down') return
    this.#failures += 1
    if (this.#failures >= this.#options.failuresMax) this.#open(error, nowMs)
  }

  /** `circuit_open` for a request that is no probe; undefined = it may go on. */
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
   * Lets one request through as a probe, when its time has come.
   * @throws Problem `circuit_open` for all others.
   */
  beginProbe(nowMs: number): void {
    const problem = this.refusal(nowMs)
    if (problem !== undefined) throw problem
    this.#probes += 1
    // One that hangs must not keep the next from finding a server that is there again.
    this.#probeAtMs = nowMs + this.#options.openMaxMs
  }

  /** A probe has ended; `error` is undefined when it got its answer. */
  endProbe(error: unknown, startedAtMs: number, epoch: number): void {
    if (epoch !== this.#epoch || this.#hasEnded) return
    const nowMs = performance.now()
    this.#probes -= 1
    // A server that did not answer before is not warm; it is down until it answers.
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

  // A server that is starting is there, but not for long enough to be called warm.
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
      // A gateway says the same of a server that is being started (Knative, KEDA).
      if (error.sign === 'no-answer') return isWarm ? 'down' : 'nothing'
      return 'alive'
    }
    // While a server is started that was scaled to zero, Knative holds the request.
    if (error.code === 'deadline_exceeded') {
      return isWarm && silentMs >= this.#options.timeoutMinMs ? 'down' : 'nothing'
    }
    return ANSWERS.has(error.code) ? 'alive' : 'nothing'
  }

  #open(error: unknown, nowMs: number): void {
    const { figures, log, model, url, openMinMs, openMaxMs } = this.#options
    const { code, message, detail } = Problem.from(error)
    const failures = this.#failures
    this.#isOpen = true
    this.#epoch += 1
    this.#openedAtMs = nowMs
    this.#intervalMs = Math.min(openMinMs, openMaxMs)
    this.#probeAtMs = nowMs + this.#jittered()
    this.#probes = 0
    figures.circuitOpens += 1
    log.warn(
      { event: 'circuit_opened', model, url, code, ...(detail === undefined ? {} : { detail }), failures },
      `The circuit of model "${model}" is open: its server failed ${failures} times in a row. ${message} Requests are answered circuit_open until one that tries it succeeds.`,
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
      `The circuit of model "${model}" is closed: its server answers again.`,
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

  // Replicas must not all come back in the same moment.
  #jittered(): number {
    const { random = Math.random } = this.#options
    return this.#intervalMs * (0.5 + random() / 2)
  }
}

// Not what a gateway says in the place of the model.
function isModelsOwnError(error: unknown): boolean {
  return error instanceof Problem && !(error instanceof UpstreamFailure) && error.code === 'upstream_error'
}
