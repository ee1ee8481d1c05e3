// A queue that serves its clients in turn (deficit round robin), so that no client's load delays the others.
import type { Deadline } from '../step.ts'

/** A request that waits for its turn. */
export interface Waiter {
  readonly client: string
  readonly bytes: number
  readonly deadline: Deadline
  readonly admit: () => void
  readonly reject: (problem: Error) => void
  /** Whether the request has stopped waiting: its deadline has passed, or another request has taken its place. */
  isGone: boolean
}

// Every call has a minimum cost, however small its body; the cost of a large body is capped.
const COST_MIN = 4 * 1024
const COST_MAX = 64 * 1024

class ClientQueue {
  readonly client: string
  // Deficit round robin (Shreedhar and Varghese, 1995): the cost that this client may still use in its turn.
  deficit = 0
  /** Number and total size of the waiters that are still waiting. */
  waiting = 0
  bytes = 0
  #waiters: Waiter[] = []
  #head = 0

  constructor(client: string) {
    this.client = client
  }

  push(waiter: Waiter): void {
    this.#waiters.push(waiter)
    this.waiting += 1
    this.bytes += waiter.bytes
  }

  /** The oldest waiter that is still waiting. */
  get first(): Waiter | undefined {
    while (this.#waiters[this.#head]?.isGone === true) this.#head += 1
    if (this.#head > 64 && this.#head * 2 > this.#waiters.length) {
      this.#waiters.splice(0, this.#head)
      this.#head = 0
    }
    return this.#waiters[this.#head]
  }

  /** The newest waiter that is still waiting. */
  get last(): Waiter | undefined {
    while (this.#waiters.at(-1)?.isGone === true && this.#waiters.length > this.#head) this.#waiters.pop()
    return this.#waiters.length > this.#head ? this.#waiters.at(-1) : undefined
  }

  left(waiter: Waiter): void {
    waiter.isGone = true
    this.waiting -= 1
    this.bytes -= waiter.bytes
    // While calls hang, any number of waiters may arrive and expire, and their places must not accumulate.
    if (this.#waiters.length - this.#head > 2 * this.waiting + 64) {
      this.#waiters = this.#waiters.slice(this.#head).filter(({ isGone }) => !isGone)
      this.#head = 0
    }
  }
}

/** Serves the clients in turn, and the requests of each client in the order of arrival. */
export class FairQueue {
  readonly #byClient = new Map<string, ClientQueue>()
  // The clients in the order of their turns; those without requests are skipped.
  #turns: ClientQueue[] = []
  #turn = 0
  #quantum = COST_MIN
  #waiting = 0
  #bytes = 0

  /** Number of waiting requests. */
  get waiting(): number {
    return this.#waiting
  }

  /** Total size of the waiting requests in bytes. */
  get bytes(): number {
    return this.#bytes
  }

  /** Number of clients with waiting requests. */
  get clients(): number {
    return this.#byClient.size
  }

  /** Returns the client's share of the queue. */
  shareOf(client: string): { readonly waiting: number; readonly bytes: number } {
    return this.#byClient.get(client) ?? NOTHING
  }

  push(waiter: Waiter): void {
    let queue = this.#byClient.get(waiter.client)
    if (queue === undefined) {
      queue = new ClientQueue(waiter.client)
      this.#byClient.set(waiter.client, queue)
      this.#turns.push(queue)
    }
    queue.push(waiter)
    this.#waiting += 1
    this.#bytes += waiter.bytes
    // The quantum is at least the highest cost, so each turn serves at least one request.
    this.#quantum = Math.max(this.#quantum, costOf(waiter))
  }

  /** Removes and returns the request whose turn it is. */
  shift(): Waiter | undefined {
    if (this.#waiting === 0 && this.#turns.length === 0) return undefined
    while (this.#turn < this.#turns.length) {
      const queue = this.#turns[this.#turn]!
      const first = queue.waiting === 0 ? undefined : queue.first!
      if (first === undefined) {
        this.#endTurn(queue)
        continue
      }
      if (queue.deficit === 0) queue.deficit = this.#quantum
      if (queue.deficit < costOf(first)) {
        this.#nextTurn(queue)
        continue
      }
      queue.deficit -= costOf(first)
      this.remove(first)
      if (queue.waiting > 0 && queue.deficit < costOf(queue.first!)) this.#nextTurn(queue)
      return first
    }
    this.#turns = []
    this.#turn = 0
    this.#quantum = COST_MIN
    return undefined
  }

  /** Removes a request that has stopped waiting. */
  remove(waiter: Waiter): void {
    this.#waiting -= 1
    this.#bytes -= waiter.bytes
    const queue = this.#byClient.get(waiter.client)!
    queue.left(waiter)
    if (queue.waiting > 0) return
    this.#byClient.delete(waiter.client)
    // A client without requests does not accumulate a deficit.
    queue.deficit = 0
    // A client with no waiting request stays in the list until its turn comes. The list is pruned, so that such clients
    // do not accumulate.
    if (this.#turns.length - this.#turn > 2 * this.#byClient.size + 64) {
      this.#turns = this.#turns.slice(this.#turn).filter(({ waiting }) => waiting > 0)
      this.#turn = 0
    }
  }

  /** Returns the newest request of the client with the largest share of the queue, by requests or by bytes. */
  newestOfLargest(measure: 'waiting' | 'bytes'): Waiter | undefined {
    let largest: ClientQueue | undefined
    for (const queue of this.#byClient.values()) {
      if (largest === undefined || queue[measure] > largest[measure]) largest = queue
    }
    return largest?.last
  }

  #endTurn(queue: ClientQueue): void {
    queue.deficit = 0
    this.#turn += 1
    this.#compact()
  }

  // The rest of the deficit is kept, and the next turn adds to it.
  #nextTurn(queue: ClientQueue): void {
    this.#turn += 1
    this.#turns.push(queue)
    queue.deficit += this.#quantum
    this.#compact()
  }

  #compact(): void {
    if (this.#turn < 1024) return
    this.#turns.splice(0, this.#turn)
    this.#turn = 0
  }
}

const NOTHING = { waiting: 0, bytes: 0 }

function costOf({ bytes }: Waiter): number {
  return Math.min(COST_MIN + bytes, COST_MAX)
}
