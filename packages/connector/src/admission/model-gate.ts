// Bounds how many requests of one model run and wait; over the bounds the answer is `overloaded`, at once.
import { Problem } from '@inferwire/protocol'
import type { Deadline, Gate } from '../step.ts'
import type { ByteBudget } from './byte-budget.ts'

/** The bounds of one model. */
export interface GateLimits {
  /** Requests that run at once. */
  readonly concurrency: number
  /** Requests that wait for a turn. */
  readonly queueDepthMax: number
  /** Bytes of the bodies that wait for a turn. */
  readonly queueBytesMax: number
}

interface Waiter {
  readonly bytes: number
  readonly deadline: Deadline
  readonly admit: () => void
  /** The deadline passed while it waited; it is skipped when its turn comes. */
  isGone: boolean
}

// What a client should wait when it is turned away: about the time a queue of this kind needs to move.
const RETRY_AFTER_MS = 500

/** First come, first served. */
export class ModelGate implements Gate {
  readonly #name: string
  readonly #limits: GateLimits
  readonly #budget: ByteBudget
  #running = 0
  // From `#head` on; those that are gone are counted out of `#waiting`.
  #queue: Waiter[] = []
  #head = 0
  #waiting = 0
  #waitingBytes = 0

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
    return this.#waiting
  }

  enter(bytes: number, deadline: Deadline): Promise<void> | undefined {
    if (deadline.problem !== undefined) throw deadline.problem
    const mayRun = this.#running < this.#limits.concurrency
    if (!mayRun || !this.#budget.hasRoom(bytes)) this.#refuseWhenFull(bytes)
    this.#budget.take(bytes)
    if (!mayRun) return this.#wait(bytes, deadline)
    this.#running += 1
    return undefined
  }

  leave(bytes: number): void {
    this.#budget.give(bytes)
    const nowMs = performance.now()
    while (this.#head < this.#queue.length) {
      const next = this.#queue[this.#head]!
      this.#head += 1
      // After a stall of the process its timer may still be to come: an expired request is not executed.
      if (next.isGone || next.deadline.atMs <= nowMs) continue
      this.#forget(next)
      this.#compact()
      next.admit()
      return
    }
    this.#compact()
    this.#running -= 1
  }

  #refuseWhenFull(bytes: number): void {
    const { queueDepthMax, queueBytesMax } = this.#limits
    const isDeep = this.#waiting >= queueDepthMax
    if (!isDeep && this.#waitingBytes + bytes <= queueBytesMax && this.#budget.hasRoom(bytes)) return
    throw new Problem(
      'overloaded',
      `Model "${this.#name}" is busy: ${this.#running} requests run and ${this.#waiting} wait${isDeep ? '' : ', with too many bytes for one more'}.`,
      { retryAfterMs: RETRY_AFTER_MS },
    )
  }

  #wait(bytes: number, deadline: Deadline): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { bytes, deadline, admit: resolve, isGone: false }
      this.#queue.push(waiter)
      this.#waiting += 1
      this.#waitingBytes += bytes
      deadline.waiting = (problem) => {
        waiter.isGone = true
        this.#forget(waiter)
        this.#budget.give(bytes)
        this.#dropGone()
        reject(problem)
      }
    })
  }

  #forget(waiter: Waiter): void {
    waiter.deadline.waiting = undefined
    this.#waiting -= 1
    this.#waitingBytes -= waiter.bytes
  }

  // Behind calls that hang, waiters may come and expire without end: their places must not pile up.
  #dropGone(): void {
    if (this.#queue.length - this.#head <= 2 * this.#waiting + 64) return
    this.#queue = this.#queue.slice(this.#head).filter((waiter) => !waiter.isGone)
    this.#head = 0
  }

  #compact(): void {
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0
      this.#head = 0
    } else if (this.#head >= 1024) {
      this.#queue.splice(0, this.#head)
      this.#head = 0
    }
  }
}
