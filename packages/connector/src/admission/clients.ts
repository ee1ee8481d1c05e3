// The clients that have requests under way: what one may have, how fast it may ask, and which requests a cancel means.
import { Problem } from '@inferwire/protocol'
import type { RequestName } from '../step.ts'
import type { RequestDeadline } from './deadline.ts'

/** The bounds of every client. */
export interface ClientBounds {
  /** Requests of one client that wait or run. */
  readonly inFlightMax: number
  /** Requests per second of one client; left out = no bound. */
  readonly requestsPerSecond?: number | undefined
}

/** A request under way, with its place in the list of its client's requests. */
export class RunningRequest implements RequestName {
  readonly client: string
  readonly model: string
  readonly operation: string
  readonly id: string | undefined
  readonly correlationData: Uint8Array | undefined
  readonly deadline: RequestDeadline
  previous: RunningRequest | undefined
  next: RunningRequest | undefined
  /** Its client, while it counts as one of the client's requests. */
  counted: { inFlight: number } | undefined

  // No record of names: V8 would come to allocate such a literal as long-lived, and whatever it points to with it.
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

  /** It does not count as one of its client's requests any more; a cancel still finds it. */
  uncount(): void {
    if (this.counted !== undefined) this.counted.inFlight -= 1
    this.counted = undefined
  }
}

interface Client {
  inFlight: number
  /** The newest request; the others follow by `next`. */
  newest: RunningRequest | undefined
  tokens: number
  refilledAtMs: number
}

// What a client should wait that has too much under way.
const RETRY_AFTER_MS = 500
// Clients that have nothing under way are kept, for their rate and because coming and going would cost more, up to this.
const CLIENTS_KEPT_MAX = 10_000

/** See the file's first line. Entering costs the same however many requests there are; a cancel looks at its client's. */
export class Clients {
  readonly #bounds: ClientBounds
  readonly #clients = new Map<string, Client>()
  #sweepAt = CLIENTS_KEPT_MAX

  constructor(bounds: ClientBounds) {
    this.#bounds = bounds
  }

  /** Clients that are known now. */
  get size(): number {
    return this.#clients.size
  }

  /**
   * The bounds do not apply to a redelivered request: it was accepted before, and must not be answered and rejected too.
   * @throws Problem `overloaded`. Otherwise `leave` must be called once.
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
        `Client "${request.client}" has ${client.inFlight} requests under way, which is as many as it may.`,
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
    // A dead request that still points to younger ones would keep them all alive until a full collection.
    request.previous = request.next = undefined
    request.uncount()
  }

  /**
   * Stops every request that has the id and the Correlation Data of the cancel message, as far as it names them.
   * Returns how many; none is no mistake: the request may have ended, or run elsewhere.
   */
  cancel(name: RequestName): number {
    let stopped = 0
    const newest = this.#clients.get(name.client)?.newest
    for (let request = newest; request !== undefined; request = request.next) {
      if (!isMeant(request, name)) continue
      request.deadline.stop(new Problem('cancelled', 'The client cancelled the request.'))
      stopped += 1
    }
    return stopped
  }

  #dropIdle(): void {
    for (const [name, { inFlight }] of this.#clients) if (inFlight === 0) this.#clients.delete(name)
    // Where all are busy, sweeping again at once would find none either.
    this.#sweepAt = Math.max(CLIENTS_KEPT_MAX, 2 * this.#clients.size)
  }
}

// A second's worth of requests may come at once.
function takeToken(name: string, client: Client, perSecond: number, nowMs: number): void {
  const refill = ((nowMs - client.refilledAtMs) / 1000) * perSecond
  client.tokens = Math.min(Math.max(1, perSecond), client.tokens + refill)
  client.refilledAtMs = nowMs
  if (client.tokens < 1) {
    throw new Problem('overloaded', `Client "${name}" may ask ${perSecond} times a second.`, {
      retryAfterMs: Math.ceil(((1 - client.tokens) / perSecond) * 1000),
    })
  }
  client.tokens -= 1
}

function isMeant(request: RunningRequest, { model, operation, id, correlationData }: RequestName): boolean {
  if (id === undefined && correlationData === undefined) return false
  if (id !== undefined && request.id !== id) return false
  if (correlationData !== undefined && !isSame(request.correlationData, correlationData)) return false
  return request.model === model && request.operation === operation
}

function isSame(left: Uint8Array | undefined, right: Uint8Array): boolean {
  return left !== undefined && left.length === right.length && Buffer.compare(left, right) === 0
}
