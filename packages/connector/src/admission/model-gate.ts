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
    if (!this.#budget.hasRoom(bytes)) throw this.#busy(', with too many bytes for one more')
    if (!mayRun) this.#makeRoom(client, bytes, deadline)
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
  #makeRoom(client: string, bytes: number, deadline: Deadline): void {
    const { queueDepthMax, queueBytesMax } = this.#limits
    if (bytes > queueBytesMax) throw this.#busy(', with too many bytes for one more')
    const share = this.#queue.shareOf(client)
    const clients = this.#queue.clients + (share.waiting === 0 ? 1 : 0)
    // Turns go round by client: whoever has little here does not wait behind those who have much.
    const turns = Math.min(this.#queue.waiting + 1, (share.waiting + 1) * clients)
    this.#refuseLongWait(turns, deadline)
    if (this.#queue.waiting >= queueDepthMax) {
      if ((share.waiting + 1) * clients > queueDepthMax) throw this.#busy('')
      this.#turnAway(this.#queue.newestOfLargest('waiting')!)
    }
    while (this.#queue.bytes + bytes > queueBytesMax) {
      if ((share.bytes + bytes) * clients > queueBytesMax)
        throw this.#busy(', with too many bytes for one more')
      this.#turnAway(this.#queue.newestOfLargest('bytes')!)
    }
  }

  // A queue that stands gives nobody more answers, only later ones: what is above the capacity is told at once.
  #refuseLongWait(turns: number, deadline: Deadline): void {
    const { concurrency, queueWaitMaxMs } = this.#limits
    const waitMs = turns * this.#pace.msPerTurn
    const isLong = waitMs > queueWaitMaxMs && turns > WAITING_ROUNDS_MIN * concurrency
    if (isLong || performance.now() + waitMs > deadline.atMs)
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
