// Limits how many requests of one model run and wait; above the limits a request is rejected with `overloaded` at once.
import { Problem } from '@inferwire/protocol'
import type { Deadline, Gate } from '../step.ts'
import type { ByteBudget } from './byte-budget.ts'
import { FairQueue, type Waiter } from './fair-queue.ts'
import { TurnPace } from './turn-pace.ts'

/** The limits of one model. */
export interface GateLimits {
  /** Number of requests that may run at the same time. */
  readonly concurrency: number
  /** Number of requests that may wait for a turn. */
  readonly queueDepthMax: number
  /** Total size of the bodies that may wait for a turn, in bytes. */
  readonly queueBytesMax: number
  /** Longest expected wait for a turn, in milliseconds. */
  readonly queueWaitMaxMs: number
}

// Suggested wait for a rejected client: roughly the time in which a full queue advances.
const RETRY_AFTER_MS = 500
// `queueWaitMaxMs` does not limit a short queue: twice `concurrency` requests may wait, however long a call takes.
const WAITING_ROUNDS_MIN = 2
const TOO_HEAVY = ', and there is not enough room for the bytes of another request'

/** Clients get turns in rotation, and the requests of each client in the order of arrival. */
export class ModelGate implements Gate {
  readonly #name: string
  readonly #limits: GateLimits
  readonly #budget: ByteBudget
  readonly #queue = new FairQueue()
  readonly #pace = new TurnPace()
  #running = 0

  constructor(name: string, limits: GateLimits, budget: ByteBudget) {
    this.#name = name
    this.#limits = limits
    this.#budget = budget
  }

  /** Number of requests that are currently at the model server. */
  get running(): number {
    return this.#running
  }

  /** Number of requests that wait for a turn. */
  get waiting(): number {
    return this.#queue.waiting
  }

  enter(client: string, bytes: number, deadline: Deadline): Promise<void> | undefined {
    if (deadline.problem !== undefined) throw deadline.problem
    const mayRun = this.#running < this.#limits.concurrency
    const isOverBudget = !this.#budget.hasRoom(bytes)
    // Everything is checked before a waiting request is rejected to make room.
    if (!mayRun) this.#judgePlace(client, bytes, deadline)
    if (isOverBudget) this.#judgeBytes(client, bytes)
    if (isOverBudget) this.#freeBytes(bytes)
    if (!mayRun) this.#freePlace(bytes)
    this.#budget.take(bytes)
    if (!mayRun) return this.#wait(client, bytes, deadline)
    this.#running += 1
    return undefined
  }

  leave(bytes: number): void {
    this.#budget.give(bytes)
    const nowMs = performance.now()
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      // After a stall of the process the timer of an expired request may not have fired yet; that timer rejects the
      // request.
      if (next.deadline.atMs <= nowMs) continue
      next.deadline.waiting = undefined
      this.#pace.turn(nowMs, this.#limits.concurrency)
      next.admit()
      return
    }
    this.#pace.idle()
    this.#running -= 1
  }

  // A full queue is shared: a client below its equal share replaces the newest request of the client that has the most
  // waiting requests or bytes.
  #judgePlace(client: string, bytes: number, deadline: Deadline): void {
    const { queueDepthMax, queueBytesMax } = this.#limits
    const share = this.#queue.shareOf(client)
    const clients = this.#queue.clients + (share.waiting === 0 ? 1 : 0)
    // Clients get turns in rotation, so a client with few requests does not wait behind all requests of the others.
    const turns = Math.min(this.#queue.waiting + 1, (share.waiting + 1) * clients)
    this.#refuseLongWait(turns, deadline)
    const isFull = this.#queue.waiting >= queueDepthMax
    if (isFull && (share.waiting + 1) * clients > queueDepthMax) throw this.#busy('')
    const isHeavy = this.#queue.bytes + bytes > queueBytesMax
    if (isHeavy && (share.bytes + bytes) * clients > queueBytesMax) throw this.#busy(TOO_HEAVY)
  }

  #freePlace(bytes: number): void {
    const { queueDepthMax, queueBytesMax } = this.#limits
    if (this.#queue.waiting >= queueDepthMax) this.#reject(this.#queue.newestOfLargest('waiting')!)
    while (this.#queue.bytes + bytes > queueBytesMax) this.#reject(this.#queue.newestOfLargest('bytes')!)
  }

  // The byte budget of all models is used up. The client with the most bytes waiting at this gate makes room, if it has
  // more of them than the new request's client, and if they are enough.
  #judgeBytes(client: string, bytes: number): void {
    const largest = this.#queue.newestOfLargest('bytes')
    const spare = largest === undefined ? 0 : this.#queue.shareOf(largest.client).bytes
    const isLess = this.#queue.shareOf(client).bytes + bytes < spare
    if (!isLess || !this.#budget.hasRoom(bytes - spare)) throw this.#busy(TOO_HEAVY)
  }

  #freeBytes(bytes: number): void {
    while (!this.#budget.hasRoom(bytes)) this.#reject(this.#queue.newestOfLargest('bytes')!)
  }

  // A longer queue would delay all answers without increasing their number, so requests above the capacity are rejected
  // at once.
  #refuseLongWait(turns: number, deadline: Deadline): void {
    const { concurrency, queueWaitMaxMs } = this.#limits
    const waitMs = turns * this.#pace.msPerTurn
    const isLong = waitMs > queueWaitMaxMs && turns > WAITING_ROUNDS_MIN * concurrency
    const leftMs = deadline.atMs - performance.now()
    // A request whose deadline has already passed is left to its own timer.
    if (isLong || (leftMs > 0 && waitMs > leftMs))
      throw this.#busy(`, and another one would wait about ${(waitMs / 1000).toFixed(1)} s`)
  }

  #reject(waiter: Waiter): void {
    waiter.deadline.waiting = undefined
    this.#queue.remove(waiter)
    this.#budget.give(waiter.bytes)
    waiter.reject(this.#busy(', and this client had the most waiting requests or bytes'))
  }

  #busy(why: string): Problem {
    return new Problem(
      'overloaded',
      `Model "${this.#name}" is busy: ${this.#running} requests are running and ${this.waiting} are waiting${why}.`,
      { retryAfterMs: RETRY_AFTER_MS },
    )
  }

  #wait(client: string, bytes: number, deadline: Deadline): Promise<void> {
    return new Promise((admit, reject) => {
      const waiter: Waiter = { client, bytes, deadline, admit, reject, isGone: false }
      this.#queue.push(waiter)
      deadline.waiting = (problem) => {
        if (!waiter.isGone) this.#queue.remove(waiter)
        this.#budget.give(bytes)
        reject(problem)
      }
    })
  }
}
