// Bounds what one client may have under way, and how fast it may ask.
import { Problem } from '@inferwire/protocol'

/** The bounds of every client. */
export interface ClientBounds {
  /** Requests of one client that wait or run. */
  readonly inFlightMax: number
  /** Requests per second of one client; left out = no bound. */
  readonly requestsPerSecond?: number | undefined
}

interface ClientState {
  inFlight: number
  tokens: number
  refilledAtMs: number
}

// What a client should wait that has too much under way.
const RETRY_AFTER_MS = 500
// Rates are remembered of clients that are not here now; above this many, of none.
const IDLE_CLIENTS_MAX = 10_000

/** See the file's first line. A second's worth of requests may come at once. */
export class ClientLimits {
  readonly #bounds: ClientBounds
  readonly #clients = new Map<string, ClientState>()

  constructor(bounds: ClientBounds) {
    this.#bounds = bounds
  }

  /** Clients that are known now. */
  get size(): number {
    return this.#clients.size
  }

  /** @throws Problem `overloaded`. Otherwise `leave` must be called once. */
  enter(client: string, nowMs: number): void {
    const { inFlightMax, requestsPerSecond } = this.#bounds
    const state = this.#clients.get(client)
    if (state === undefined) {
      const tokens = requestsPerSecond === undefined ? 0 : Math.max(1, requestsPerSecond) - 1
      this.#clients.set(client, { inFlight: 1, tokens, refilledAtMs: nowMs })
      return
    }
    if (state.inFlight >= inFlightMax) {
      throw new Problem(
        'overloaded',
        `Client "${client}" has ${state.inFlight} requests under way, which is as many as it may.`,
        { retryAfterMs: RETRY_AFTER_MS },
      )
    }
    if (requestsPerSecond !== undefined) takeToken(client, state, requestsPerSecond, nowMs)
    state.inFlight += 1
  }

  leave(client: string): void {
    const state = this.#clients.get(client)!
    state.inFlight -= 1
    if (state.inFlight > 0) return
    if (this.#bounds.requestsPerSecond === undefined) this.#clients.delete(client)
    else if (this.#clients.size > IDLE_CLIENTS_MAX) this.#dropIdle()
  }

  #dropIdle(): void {
    for (const [client, { inFlight }] of this.#clients) if (inFlight === 0) this.#clients.delete(client)
  }
}

function takeToken(client: string, state: ClientState, perSecond: number, nowMs: number): void {
  const refill = ((nowMs - state.refilledAtMs) / 1000) * perSecond
  state.tokens = Math.min(Math.max(1, perSecond), state.tokens + refill)
  state.refilledAtMs = nowMs
  if (state.tokens < 1) {
    throw new Problem('overloaded', `Client "${client}" may ask ${perSecond} times a second.`, {
      retryAfterMs: Math.ceil(((1 - state.tokens) / perSecond) * 1000),
    })
  }
  state.tokens -= 1
}
