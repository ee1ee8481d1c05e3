// The unacknowledged requests of one connection in order of arrival. Packet Identifiers may be reused.

/** An unacknowledged delivery. */
export interface OpenDelivery {
  readonly packetId: number
  /** Milliseconds since the epoch. */
  readonly arrivedAtMs: number
}

/** The effect of a PUBACK. */
export interface Acknowledged<Request> {
  readonly request: Request
  /** The latest of the earlier requests that are still open; undefined = the PUBACK is in order. */
  readonly passed: Request | undefined
  /** Several open requests have the identifier, because it was reused, and not all of them may be deleted. */
  readonly isAmbiguous: boolean
}

const BLOCK = 1024

/** Bounded by the Receive Maximum, as far as the broker respects it. */
export class OpenRequests<Request extends OpenDelivery> {
  #requests: Request[] = []
  #head = 0
  /** Identifiers of open requests. Shared with the next connection, which could confuse them with its own. */
  readonly ids: ReadonlySet<number>
  readonly #ids = new Set<number>()
  // Number of open requests by identifier, where it is more than one; nearly always empty.
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

  /** The open requests with this identifier, the oldest first: a broker deletes the oldest. */
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
   * Applies a PUBACK: the broker deletes the oldest request with this identifier. `isDone` returns whether a request may
   * be deleted. Undefined = no open request has the identifier.
   */
  acknowledge(packetId: number, isDone: (request: Request) => boolean): Acknowledged<Request> | undefined {
    const open = this.under(packetId)
    const [request] = open
    if (request === undefined) return undefined
    const isAmbiguous = open.length > 1 && !open.every((each) => isDone(each))
    return { request, passed: this.#take(request), isAmbiguous }
  }

  // Returns the latest of the earlier requests that are still open.
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

  // In blocks: removing one at a time would copy the list each time.
  #takeHead(): void {
    this.#head += 1
    if (this.#head < BLOCK && this.#head < this.#requests.length) return
    this.#requests = this.#requests.slice(this.#head)
    this.#head = 0
  }
}
