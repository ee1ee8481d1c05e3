// Bounds how many requests of one model run and wait; over the bounds the answer is `overloaded`, at once.
import { Problem } from '@inferwire/protocol'
import type { Deadline, Gate } from '../step.ts'
import type { ByteBudget } from './byte-budget.ts'
import { FairQueue, type Waiter } from './fair-queue.ts'
import { TurnPace } from './turn-pace.ts'

/** The bounds of one model. */
export interface GateLimits {
  /** Requests that run at once. */
  readonly concurrency: number
  /** Requests that wait for a turn. */
  readonly queueDepthMax: number
  /** Bytes of the bodies that wait for a turn. */
  readonly queueBytesMax: number
  /** Milliseconds that a request may be expected to wait for a turn. */
  readonly queueWaitMaxMs: number
}

// What a client should wait when it is turned away: about the time a queue of this kind needs to move.
const RETRY_AFTER_MS = 500
// A slow model is not a full queue: as many as run, twice over, may wait however long one call takes.
const WAITING_ROUNDS_MIN = 2
const TOO_HEAVY = ', with too many bytes for one more'

/** Turns go round by client; within a client, first come, first served. */
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

  /** Requests that are with the model server now. */
  get running(): number {
    return this.#running
  }

  /** Requests that wait for a turn. */
  get waiting(): number {
    return this.#queue.waiting
  }

  enter(client: string, bytes: number, deadline: Deadline): Promise<void> | undefined {
    if (deadline.problem !== undefined) throw deadline.problem
    const mayRun = this.#running < this.#limits.concurrency
    const isOverBudget = !this.#budget.hasRoom(bytes)
    // Everything is judged before anybody is turned away for it.
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
      // After a stall of the process its timer may still be to come, and tells it: an expired request is not executed.
      if (next.deadline.atMs <= nowMs) continue
      next.deadline.waiting = undefined
      this.#pace.turn(nowMs, this.#limits.concurrency)
      next.admit()
      return
    }
    this.#pace.idle()
    this.#running -= 1
  }

  // A full queue is shared: a client below its equal part of it takes the newest place of the one with the most.
  #judgePlace(client: string, bytes: number, deadline: Deadline): void {
    const { queueDepthMax, queueBytesMax } = this.#limits
    const share = this.#queue.shareOf(client)
    const clients = this.#queue.clients + (share.waiting === 0 ? 1 : 0)
    // Turns go round by client: whoever has little here does not wait behind those who have much.
    const turns = Math.min(this.#queue.waiting + 1, (share.waiting + 1) * clients)
    this.#refuseLongWait(turns, deadline)
    const isFull = this.#queue.waiting >= queueDepthMax
    if (isFull && (share.waiting + 1) * clients > queueDepthMax) throw this.#busy('')
    const isHeavy = this.#queue.bytes + bytes > queueBytesMax
    if (isHeavy && (share.bytes + bytes) * clients > queueBytesMax) throw this.#busy(TOO_HEAVY)
  }

  #freePlace(bytes: number): void {
    const { queueDepthMax, queueBytesMax } = this.#limits
    if (this.#queue.waiting >= queueDepthMax) this.#turnAway(this.#queue.newestOfLargest('waiting')!)
    while (this.#queue.bytes + bytes > queueBytesMax) this.#turnAway(this.#queue.newestOfLargest('bytes')!)
  }

  // The bytes of all models are spent: whoever waits here with more makes room, where that is enough.
  #judgeBytes(client: string, bytes: number): void {
    const largest = this.#queue.newestOfLargest('bytes')
    const spare = largest === undefined ? 0 : this.#queue.shareOf(largest.client).bytes
    const isLess = this.#queue.shareOf(client).bytes + bytes < spare
    if (!isLess || !this.#budget.hasRoom(bytes - spare)) throw this.#busy(TOO_HEAVY)
  }

  #freeBytes(bytes: number): void {
    while (!this.#budget.hasRoom(bytes)) this.#turnAway(this.#queue.newestOfLargest('bytes')!)
  }

  // A queue that stands gives nobody more answers, only later ones: what is above the capacity is told at once.
  #refuseLongWait(turns: number, deadline: Deadline): void {
    const { concurrency, queueWaitMaxMs } = this.#limits
    const waitMs = turns * this.#pace.msPerTurn
    const isLong = waitMs > queueWaitMaxMs && turns > WAITING_ROUNDS_MIN * concurrency
    const leftMs = deadline.atMs - performance.now()
    // What is late already is told so by its own timer, which is to come.
    if (isLong || (leftMs > 0 && waitMs > leftMs))
      throw this.#busy(`, one more about ${(waitMs / 1000).toFixed(1)} s`)
  }

  #turnAway(waiter: Waiter): void {
    waiter.deadline.waiting = undefined
    this.#queue.remove(waiter)
    this.#budget.give(waiter.bytes)
    waiter.reject(this.#busy(', and other clients wait with less'))
  }

  #busy(why: string): Problem {
    return new Problem(
      'overloaded',
      `Model "${this.#name}" is busy: ${this.#running} requests run and ${this.waiting} wait${why}.`,
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
