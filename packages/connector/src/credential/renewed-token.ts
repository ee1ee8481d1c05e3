// Holds a token that an issuer renews: it is renewed before it expires, one request at a time, and never in the path of
// a call as long as the last token is valid.
import { Problem } from '@inferwire/protocol'
import type { Deadline } from '../step.ts'
import type { CredentialSource, SourceParts } from './credential.ts'
import { IssuerError } from './issuer-error.ts'

/** A token from an issuer. */
export interface FetchedToken {
  /** The headers of a call: a flat name/value list. */
  readonly headers: readonly string[]
  /** Undefined = unknown. */
  readonly lifetimeMs: number | undefined
}

/** The dependencies of `RenewedToken`. */
export interface RenewedTokenParts extends SourceParts {
  /** Requests a token. The promise settles within a bounded time. */
  readonly fetch: () => Promise<FetchedToken>
  /** From 0 to 1. @default Math.random */
  readonly random?: () => number
}

interface Held {
  readonly headers: readonly string[]
  readonly renewAtMs: number
  readonly diesAtMs: number
}

/** A call that waits for the first token. The gates of the models limit their number. */
interface Waiter {
  readonly resolve: (headers: readonly string[]) => void
  readonly reject: (problem: Problem) => void
  readonly deadline: Deadline
}

const RENEW_AT = 0.8
// Also limits lifetimes that the clock cannot represent.
const RENEW_AFTER_MAX_MS = 24 * 3_600_000
// A token of unknown lifetime stays in use until a server rejects it.
const RENEW_UNKNOWN_AFTER_MS = 5 * 60_000
const BACK_OFF_MIN_MS = 500
const BACK_OFF_MAX_MS = 30_000
// If servers reject every token, the issuer must not receive a request for every call.
const FORCED_EVERY_MS = 5_000
const SENTENCE = 'The connector could not obtain a token for this model.'

/** Has no timer of its own unless a call waits: a token is renewed when a call uses it. */
export class RenewedToken implements CredentialSource {
  readonly #parts: RenewedTokenParts
  readonly #now: () => number
  readonly #waiters = new Set<Waiter>()
  #held: Held | undefined
  #running: Promise<void> | undefined
  #retry: NodeJS.Timeout | undefined
  #failures = 0
  #nextAtMs = Number.NEGATIVE_INFINITY
  #forcedAtMs = Number.NEGATIVE_INFINITY
  #lastError: IssuerError | undefined

  constructor(parts: RenewedTokenParts) {
    this.#parts = parts
    this.#now = parts.now ?? (() => performance.now())
  }

  headers(deadline: Deadline): readonly string[] | Promise<readonly string[]> {
    const held = this.#held
    if (held === undefined) return this.#first(deadline)
    const nowMs = this.#now()
    if (nowMs < held.renewAtMs) return held.headers
    if (nowMs >= held.diesAtMs) return this.#first(deadline)
    if (nowMs >= this.#nextAtMs) void this.#attempt()
    return held.headers
  }

  async refresh(used: readonly string[], deadline: Deadline): Promise<boolean> {
    // Another call may have renewed the token after the rejected call was sent.
    if (this.#isOther(used)) return true
    const nowMs = this.#now()
    if (this.#running === undefined) {
      if (nowMs - this.#forcedAtMs < FORCED_EVERY_MS || nowMs < this.#nextAtMs) return false
      this.#forcedAtMs = nowMs
    }
    await untilDeadline(this.#attempt(), deadline)
    return this.#isOther(used)
  }

  #isOther(used: readonly string[]): boolean {
    return this.#held !== undefined && this.#held.headers !== used
  }

  #first(deadline: Deadline): Promise<readonly string[]> {
    const { problem } = deadline
    if (problem !== undefined) return Promise.reject(problem)
    const isPaused = this.#running === undefined && this.#now() < this.#nextAtMs
    if (isPaused && this.#lastError?.isFinal === true) return Promise.reject(this.#problem())
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { resolve, reject, deadline }
      this.#waiters.add(waiter)
      deadline.waiting = (stopped) => {
        this.#waiters.delete(waiter)
        // The deadline's own problem would be attributed to the model server.
        reject(stopped.code === 'cancelled' ? stopped : this.#problem())
      }
      if (isPaused) this.#retryLater()
      else void this.#attempt()
    })
  }

  // Returns the running request, or begins one. Never rejects.
  #attempt(): Promise<void> {
    clearTimeout(this.#retry)
    this.#retry = undefined
    this.#running ??= this.#fetch()
    return this.#running
  }

  async #fetch(): Promise<void> {
    // The lifetime begins when the issuer creates the token, at the earliest when the request is sent.
    const sentAtMs = this.#now()
    let fetched: FetchedToken | IssuerError
    try {
      fetched = await this.#parts.fetch()
    } catch (error) {
      fetched = error instanceof IssuerError ? error : new IssuerError(String(error), true)
    }
    // From here on, a call may begin the next request.
    this.#running = undefined
    if (fetched instanceof IssuerError) this.#failed(fetched)
    else this.#hold(fetched, sentAtMs)
  }

  #hold({ headers, lifetimeMs }: FetchedToken, sentAtMs: number): void {
    const known = this.#held?.headers
    // An issuer may return the same token again. The same array shows that nothing has changed.
    const isSame = known?.every((value, index) => value === headers[index]) === true
    const renewAfterMs = Math.min(
      lifetimeMs === undefined ? RENEW_UNKNOWN_AFTER_MS : lifetimeMs * RENEW_AT,
      RENEW_AFTER_MAX_MS,
    )
    this.#held = {
      headers: isSame ? known : headers,
      renewAtMs: sentAtMs + renewAfterMs,
      diesAtMs: sentAtMs + (lifetimeMs ?? Number.POSITIVE_INFINITY),
    }
    this.#failures = 0
    this.#nextAtMs = Number.NEGATIVE_INFINITY
    if (this.#lastError !== undefined) this.#parts.news.recovered()
    this.#lastError = undefined
    for (const waiter of this.#takeWaiters()) waiter.resolve(this.#held.headers)
  }

  #failed(failure: IssuerError): void {
    const isNews = failure.message !== this.#lastError?.message
    this.#lastError = failure
    this.#nextAtMs = this.#now() + this.#backOffMs(failure)
    this.#failures += 1
    const isValid = this.#held !== undefined && this.#now() < this.#held.diesAtMs
    if (isNews) this.#parts.news.failed(this.#detail(), isValid)
    if (!failure.isFinal) {
      if (this.#waiters.size > 0) this.#retryLater()
      return
    }
    for (const waiter of this.#takeWaiters()) waiter.reject(this.#problem())
  }

  // The random part prevents several connectors from sending their requests at the same time.
  #backOffMs({ retryAfterMs = 0 }: IssuerError): number {
    const { random = Math.random } = this.#parts
    const ceilingMs = Math.min(BACK_OFF_MIN_MS * 2 ** Math.min(this.#failures, 16), BACK_OFF_MAX_MS)
    return Math.max(ceilingMs * (0.5 + random() / 2), Math.min(retryAfterMs, BACK_OFF_MAX_MS))
  }

  // Only waiting calls need a timer: any other attempt is begun by a call.
  #retryLater(): void {
    this.#retry ??= setTimeout(
      () => {
        this.#retry = undefined
        if (this.#waiters.size > 0) void this.#attempt()
      },
      Math.max(this.#nextAtMs - this.#now(), 0),
    ).unref()
  }

  #takeWaiters(): Waiter[] {
    const waiters = [...this.#waiters]
    this.#waiters.clear()
    for (const { deadline } of waiters) deadline.waiting = undefined
    return waiters
  }

  #problem(): Problem {
    const error = this.#lastError
    const isFinal = error?.isFinal === true
    return new Problem('unauthorized_upstream', SENTENCE, {
      detail: error === undefined ? `${this.#parts.place}: the issuer has not answered yet.` : this.#detail(),
      ...(isFinal ? {} : { retryAfterMs: BACK_OFF_MIN_MS }),
    })
  }

  #detail(): string {
    return `${this.#parts.place}: ${this.#lastError?.message}`
  }
}

// Resolves when the work is done, or when the deadline has passed.
function untilDeadline(work: Promise<void>, deadline: Deadline): Promise<void> {
  if (deadline.problem !== undefined) return Promise.resolve()
  return new Promise((resolve) => {
    const stopped = (): void => resolve()
    deadline.waiting = stopped
    void work.then(() => {
      // After the deadline, another wait may have replaced the callback.
      if (deadline.waiting === stopped) deadline.waiting = undefined
      resolve()
    })
  })
}
