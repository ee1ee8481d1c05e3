// One connection's unacknowledged requests, in order of arrival. Packet Identifiers may be reused.

/** An unacknowledged delivery. */
export interface OpenDelivery {
  readonly packetId: number
  /** Milliseconds since the epoch. */
  readonly arrivedAtMs: number
}

/** The effect of a PUBACK. */
export interface Acknowledged<Request> {
  readonly request: Request
  /** The most recent of the earlier requests that are still open; undefined = the PUBACK is in order. */
  readonly passed: Request | undefined
  /** Whether several open requests share the identifier, and at least one of them must not be deleted yet. */
  readonly isAmbiguous: boolean
}

const BLOCK = 1024

/** The open requests of a connection; at most as many as the Receive Maximum, if the broker respects it. */
export class OpenRequests<Request extends OpenDelivery> {
  #requests: Request[] = []
  #head = 0
  /**
   * Identifiers of open requests. The next connection's checker also needs them, because the connector could confuse
   * them with that connection's identifiers.
   */
  readonly ids: ReadonlySet<number>
  readonly #ids = new Set<number>()
  // Maps each identifier that several open requests share to the number of these requests; nearly always empty.
  readonly #duplicates = new Map<number, number>()

  constructor() {
    this.ids = this.#ids
  }

  get size(): number {
    return this.#requests.length - this.#head
  }

  add(request: Request): void {
    const { packetId } = request
    if (this.#ids.has(packetId)) this.#duplicates.set(packetId, (this.#duplicates.get(packetId) ?? 1) + 1)
    this.#ids.add(packetId)
    this.#requests.push(request)
  }

  /** Returns the open requests with this identifier, the oldest first: a broker deletes the oldest. */
  under(packetId: number): readonly Request[] {
    if (!this.#ids.has(packetId)) return []
    const count = this.#duplicates.get(packetId) ?? 1
    const found: Request[] = []
    for (let index = this.#head; found.length < count; index++) {
      const request = this.#requests[index]!
      if (request.packetId === packetId) found.push(request)
    }
    return found
  }

  /**
   * Applies a PUBACK: the broker deletes the oldest request with this identifier. `isDone` returns whether a request
   * may be deleted. Returns undefined if no open request has the identifier.
   */
  acknowledge(packetId: number, isDone: (request: Request) => boolean): Acknowledged<Request> | undefined {
    const open = this.under(packetId)
    const [request] = open
    if (request === undefined) return undefined
    const isAmbiguous = open.length > 1 && !open.every((each) => isDone(each))
    return { request, passed: this.#take(request), isAmbiguous }
  }

  // Removes a request. Returns the most recent of the earlier requests that are still open.
  #take(request: Request): Request | undefined {
    this.#forgetId(request.packetId)
    if (request === this.#requests[this.#head]) {
      this.#takeHead()
      return undefined
    }
    const index = this.#requests.indexOf(request, this.#head)
    this.#requests.splice(index, 1)
    return this.#requests[index - 1]
  }

  #forgetId(packetId: number): void {
    const count = this.#duplicates.get(packetId)
    if (count === undefined) this.#ids.delete(packetId)
    else if (count === 2) this.#duplicates.delete(packetId)
    else this.#duplicates.set(packetId, count - 1)
  }

  // Each removal copies the list, so requests are removed in blocks.
  #takeHead(): void {
    this.#head += 1
    if (this.#head < BLOCK && this.#head < this.#requests.length) return
    this.#requests = this.#requests.slice(this.#head)
    this.#head = 0
  }
}
