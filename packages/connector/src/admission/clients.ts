// Tracks the clients with requests in flight: applies their limits and rates, and finds the requests to cancel.
import { Problem } from '@inferwire/protocol'
import type { RequestName } from '../step.ts'
import type { RequestDeadline } from './deadline.ts'

/** The limits that apply to each client. */
export interface ClientBounds {
  /** Number of requests of one client that may wait or run. */
  readonly inFlightMax: number
  /** Requests per second that one client may send; undefined for no limit. */
  readonly requestsPerSecond?: number | undefined
}

/** A request in flight, linked into the list of its client's requests. */
export class RunningRequest implements RequestName {
  readonly client: string
  readonly model: string
  readonly operation: string
  readonly id: string | undefined
  readonly correlationData: Uint8Array | undefined
  readonly deadline: RequestDeadline
  // A linked list, which costs less than a Set (decision 0009).
  previous: RunningRequest | undefined
  next: RunningRequest | undefined
  /** The client whose count includes this request; undefined when the request is no longer counted. */
  counted: { inFlight: number } | undefined

  // Takes separate parameters instead of one object, because V8 might allocate an object literal, and the objects
  // in it, in old space.
  constructor(
    { client, id }: Pick<RequestName, 'client' | 'id'>,
    model: string,
    operation: string,
    correlationData: Uint8Array | undefined,
    deadline: RequestDeadline,
  ) {
    this.client = client
    this.model = model
    this.operation = operation
    this.id = id
    this.correlationData = correlationData
    this.deadline = deadline
  }

  /** Stops counting the request towards its client's limit; a cancel message still finds it. */
  uncount(): void {
    if (this.counted !== undefined) this.counted.inFlight -= 1
    this.counted = undefined
  }
}

interface Client {
  inFlight: number
  /** The newest request, the head of the linked list. */
  newest: RunningRequest | undefined
  tokens: number
  refilledAtMs: number
}

// Suggested wait for a client that has too many requests in flight.
const RETRY_AFTER_MS = 500
// Limit on the number of clients that are kept, including idle clients: their rate is still needed, and removing and
// re-adding them would cost more than keeping them.
const CLIENTS_KEPT_MAX = 10_000

/** The clients by name. Adding a request has a constant cost; `cancel` searches all requests of one client. */
export class Clients {
  readonly #bounds: ClientBounds
  readonly #clients = new Map<string, Client>()
  #sweepAt = CLIENTS_KEPT_MAX

  constructor(bounds: ClientBounds) {
    this.#bounds = bounds
  }

  /** Number of known clients. */
  get size(): number {
    return this.#clients.size
  }

  /**
   * Adds a request; `leave` must then be called exactly once. The limits do not apply to a redelivered request: it was
   * admitted before, and must not be both answered and rejected.
   * @throws Problem `overloaded`.
   */
  enter(request: RunningRequest, nowMs: number, isRedelivered = false): void {
    const { inFlightMax, requestsPerSecond } = this.#bounds
    let client = this.#clients.get(request.client)
    if (client === undefined) {
      const tokens = Math.max(1, requestsPerSecond ?? 1)
      client = { inFlight: 0, newest: undefined, tokens, refilledAtMs: nowMs }
      if (this.#clients.size >= this.#sweepAt) this.#dropIdle()
      this.#clients.set(request.client, client)
    } else if (client.inFlight >= inFlightMax && !isRedelivered) {
      throw new Problem(
        'overloaded',
        `Client "${request.client}" has ${client.inFlight} requests in flight, which is the limit.`,
        { retryAfterMs: RETRY_AFTER_MS },
      )
    }
    if (requestsPerSecond !== undefined && !isRedelivered)
      takeToken(request.client, client, requestsPerSecond, nowMs)
    client.inFlight += 1
    request.counted = client
    const { newest } = client
    if (newest !== undefined) newest.previous = request
    request.next = newest
    client.newest = request
  }

  leave(request: RunningRequest): void {
    const client = this.#clients.get(request.client)!
    const { previous, next } = request
    if (previous === undefined) client.newest = next
    else previous.next = next
    if (next !== undefined) next.previous = previous
    // An ended request that still referenced newer requests would keep all of them in memory until a full garbage
    // collection.
    request.previous = request.next = undefined
    request.uncount()
  }

  /**
   * Stops every request that matches the id and the Correlation Data of the cancel message; if the message has only one
   * of the two, only that one is compared. Returns the number of stopped requests; 0 is not an error, because the
   * request may have ended, or may run on another connector.
   */
  cancel(name: RequestName): number {
    let stopped = 0
    const newest = this.#clients.get(name.client)?.newest
    for (let request = newest; request !== undefined; request = request.next) {
      if (!isNamed(request, name)) continue
      request.deadline.stop(new Problem('cancelled', 'The client cancelled the request.'))
      stopped += 1
    }
    return stopped
  }

  #dropIdle(): void {
    for (const [name, { inFlight }] of this.#clients) if (inFlight === 0) this.#clients.delete(name)
    // If all clients are busy, another sweep soon afterwards would not remove any client either.
    this.#sweepAt = Math.max(CLIENTS_KEPT_MAX, 2 * this.#clients.size)
  }
}

// Takes a token from the client's bucket, which holds at most one second's tokens.
function takeToken(name: string, client: Client, perSecond: number, nowMs: number): void {
  const refill = ((nowMs - client.refilledAtMs) / 1000) * perSecond
  client.tokens = Math.min(Math.max(1, perSecond), client.tokens + refill)
  client.refilledAtMs = nowMs
  if (client.tokens < 1) {
    throw new Problem(
      'overloaded',
      `Client "${name}" exceeds its limit of ${perSecond} requests per second.`,
      {
        retryAfterMs: Math.ceil(((1 - client.tokens) / perSecond) * 1000),
      },
    )
  }
  client.tokens -= 1
}

function isNamed(request: RunningRequest, { model, operation, id, correlationData }: RequestName): boolean {
  if (id === undefined && correlationData === undefined) return false
  if (id !== undefined && request.id !== id) return false
  if (correlationData !== undefined && !isSame(request.correlationData, correlationData)) return false
  return request.model === model && request.operation === operation
}

function isSame(left: Uint8Array | undefined, right: Uint8Array): boolean {
  return left !== undefined && left.length === right.length && Buffer.compare(left, right) === 0
}
