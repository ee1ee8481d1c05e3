// Limits how many requests for one model may run and how many may wait. Above the limits, a request is rejected
// with `overloaded` at once.
import { Problem } from '@inferwire/protocol'
import type { Deadline, Gate } from '../step.ts'
import type { ByteBudget } from './byte-budget.ts'
import { ClassQueue, type ClassWaiter } from './class-queue.ts'
import { PRIORITY_DEFAULT } from './priority.ts'
import { TurnPace } from './turn-pace.ts'

/** The limits of one model. */
export interface GateLimits {
  /** Number of requests that may run at the same time. It may change; a lower value stops no request. */
  readonly concurrency: number
  /** Number of requests that may wait for a turn. */
  readonly queueDepthMax: number
  /** Total size of the bodies that may wait for a turn, in bytes. */
  readonly queueBytesMax: number
  /** Longest expected wait for a turn, in milliseconds. */
  readonly queueWaitMaxMs: number
  /** The calls, if several requests may share a call; undefined if each running request is a call of its own. */
  readonly calls?: SharedCalls | undefined
}

/** The calls to the model server behind the gate, if several requests may share a call. */
export interface SharedCalls {
  /** Number of calls that may be in progress. */
  readonly concurrency: number
  /** Number of requests that have had their turn at the gate, but still wait for a call. */
  readonly waiting: number
}

// Suggested wait for a rejected client: roughly the time that a full queue takes to advance.
const RETRY_AFTER_MS = 500
// `queueWaitMaxMs` does not limit a short queue: twice `concurrency` requests may wait, however long a call takes.
const WAITING_ROUNDS_MIN = 2
const TOO_HEAVY = ', and there is not enough room for the bytes of another request'

/**
 * Requests of a higher class get their turns first. Within a class, the clients take turns, and the requests of each
 * client run in the order of arrival.
 */
export class ModelGate implements Gate {
  readonly #name: string
  readonly #limits: GateLimits
  readonly #budget: ByteBudget
  readonly #queue = new ClassQueue()
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

  enter(
    client: string,
    bytes: number,
    deadline: Deadline,
    priority: number = PRIORITY_DEFAULT,
  ): Promise<void> | undefined {
    if (deadline.problem !== undefined) throw deadline.problem
    // If the limit has just been raised, requests may still be waiting; they come first.
    const mayRun = this.#running < this.#limits.concurrency && this.#queue.waiting === 0
    const isOverBudget = !this.#budget.hasRoom(bytes)
    // Everything is checked before a waiting request is rejected to make room.
    if (!mayRun) this.#judgePlace(client, bytes, deadline, priority)
    if (isOverBudget) this.#judgeBytes(client, bytes, priority)
    if (isOverBudget) this.#freeBytes(bytes, priority)
    if (!mayRun) this.#freePlace(bytes, priority)
    this.#budget.take(bytes)
    if (!mayRun) return this.#wait(client, bytes, deadline, priority)
    this.#running += 1
    return undefined
  }

  leave(bytes: number): void {
    this.#budget.give(bytes)
    this.#running -= 1
    const nowMs = performance.now()
    let isIdle = true
    while (this.#running < this.#limits.concurrency) {
      const next = this.#queue.shift()
      if (next === undefined) break
      // After a stall of the process the timer of an expired request may not have fired yet; that timer rejects the
      // request.
      if (next.deadline.atMs <= nowMs) continue
      next.deadline.waiting = undefined
      this.#pace.turn(nowMs, this.#limits.concurrency)
      this.#running += 1
      isIdle = false
      next.admit()
    }
    if (isIdle && this.#queue.waiting === 0) this.#pace.idle()
  }

  // A full queue is shared. A request replaces one of a lower class. If there is none, a client below its equal share
  // replaces the newest request of the client that has the most waiting requests or bytes in the same class.
  #judgePlace(client: string, bytes: number, deadline: Deadline, priority: number): void {
    const { queueDepthMax, queueBytesMax } = this.#limits
    const queue = this.#queue.of(priority)
    const share = queue.shareOf(client)
    const clients = queue.clients + (share.waiting === 0 ? 1 : 0)
    // Clients get turns in rotation, so a client with few requests does not wait behind all requests of the others.
    const turns = Math.min(queue.waiting + 1, (share.waiting + 1) * clients)
    this.#refuseLongWait(this.#queue.above(priority, 'waiting') + turns, deadline)
    const isFull = this.#queue.waiting >= queueDepthMax && this.#queue.below(priority, 'waiting') === 0
    const places = queueDepthMax - this.#queue.above(priority, 'waiting')
    if (isFull && (share.waiting + 1) * clients > places) throw this.#busy('')
    const isHeavy = this.#queue.bytes - this.#queue.below(priority, 'bytes') + bytes > queueBytesMax
    const room = queueBytesMax - this.#queue.above(priority, 'bytes')
    if (isHeavy && (share.bytes + bytes) * clients > room) throw this.#busy(TOO_HEAVY)
  }

  #freePlace(bytes: number, priority: number): void {
    const { queueDepthMax, queueBytesMax } = this.#limits
    if (this.#queue.waiting >= queueDepthMax) this.#reject(this.#queue.victimFor(priority, 'waiting')!)
    while (this.#queue.bytes + bytes > queueBytesMax) this.#reject(this.#queue.victimFor(priority, 'bytes')!)
  }

  // The byte budget of all models is used up. Requests of lower classes make room. If there are none, room is made
  // by the client with the most waiting bytes in the same class of this model, if its waiting bytes are enough,
  // and are more than those of the client that sent the new request.
  #judgeBytes(client: string, bytes: number, priority: number): void {
    const lower = this.#queue.below(priority, 'bytes')
    if (this.#budget.hasRoom(bytes - lower)) return
    const queue = this.#queue.of(priority)
    const largest = queue.newestOfLargest('bytes')
    const spare = largest === undefined ? 0 : queue.shareOf(largest.client).bytes
    const isLess = queue.shareOf(client).bytes + bytes < spare
    if (!isLess || !this.#budget.hasRoom(bytes - lower - spare)) throw this.#busy(TOO_HEAVY)
  }

  #freeBytes(bytes: number, priority: number): void {
    while (!this.#budget.hasRoom(bytes)) this.#reject(this.#queue.victimFor(priority, 'bytes')!)
  }

  // A longer queue would delay all answers without increasing their number, so requests above the capacity are rejected
  // at once.
  #refuseLongWait(turns: number, deadline: Deadline): void {
    const { queueWaitMaxMs, calls } = this.#limits
    const { concurrency } = calls ?? this.#limits
    const ahead = turns + (calls?.waiting ?? 0)
    const waitMs = ahead * this.#pace.msPerTurn
    const isLong = waitMs > queueWaitMaxMs && ahead > WAITING_ROUNDS_MIN * concurrency
    const leftMs = deadline.atMs - performance.now()
    // If the deadline has already passed, the timer of the request rejects it.
    if (isLong || (leftMs > 0 && waitMs > leftMs))
      throw this.#busy(`, and another one would wait about ${(waitMs / 1000).toFixed(1)} s`)
  }

  #reject(waiter: ClassWaiter): void {
    waiter.deadline.waiting = undefined
    this.#queue.remove(waiter)
    this.#budget.give(waiter.bytes)
    waiter.reject(this.#busy(', and this request made room for one of a higher class or of another client'))
  }

  #busy(why: string): Problem {
    return new Problem(
      'overloaded',
      `Model "${this.#name}" is busy: ${this.#running} requests are running and ${this.waiting} are waiting${why}.`,
      { retryAfterMs: RETRY_AFTER_MS },
    )
  }

  #wait(client: string, bytes: number, deadline: Deadline, priority: number): Promise<void> {
    return new Promise((admit, reject) => {
      const waiter: ClassWaiter = { client, bytes, deadline, admit, reject, isGone: false, priority }
      this.#queue.push(waiter)
      deadline.waiting = (problem) => {
        if (!waiter.isGone) this.#queue.remove(waiter)
        this.#budget.give(bytes)
        reject(problem)
      }
    })
  }
}
