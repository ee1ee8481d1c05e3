// The unacknowledged requests of one connection in the order of their arrival, under Packet Identifiers that may come round.

/** What is looked at here. */
export interface OpenDelivery {
  readonly packetId: number
  /** Milliseconds since the epoch. */
  readonly arrivedAtMs: number
}

/** What a PUBACK did. */
export interface Acknowledged<Request> {
  readonly request: Request
  /** The youngest request that came earlier and is open still; undefined = the PUBACK left in order. */
  readonly passed: Request | undefined
  /** Several requests are open under the identifier, because it came round, and not all of them may be deleted. */
  readonly isAmbiguous: boolean
}

const BLOCK = 1024

/** Bounded by the Receive Maximum, or by what the broker makes of it. */
export class OpenRequests<Request extends OpenDelivery> {
  #requests: Request[] = []
  #head = 0
  /** Which are open. Shared with the connection that comes next, which may confuse them with its own. */
  readonly ids: ReadonlySet<number>
  readonly #ids = new Set<number>()
  // How many are open under one identifier, where it is more than one; nearly always empty.
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

  /** Those with that identifier, the oldest first: it is the one that a broker deletes. */
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
   * A PUBACK: the broker deletes the oldest request under that identifier. `isDone` tells whether a request may be
   * deleted. Undefined = nothing is open under it.
   */
  acknowledge(packetId: number, isDone: (request: Request) => boolean): Acknowledged<Request> | undefined {
    const open = this.under(packetId)
    const [request] = open
    if (request === undefined) return undefined
    const isAmbiguous = open.length > 1 && !open.every((each) => isDone(each))
    return { request, passed: this.#take(request), isAmbiguous }
  }

  // Returns the youngest of those that came before it and are open still.
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

  // In blocks: shifting one by one would copy the list each time.
  #takeHead(): void {
    this.#head += 1
    if (this.#head < BLOCK && this.#head < this.#requests.length) return
    this.#requests = this.#requests.slice(this.#head)
    this.#head = 0
  }
}
