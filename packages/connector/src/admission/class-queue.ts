// A queue with priority classes: a higher class is always served first, and the clients of one class take turns.
import { FairQueue, type Waiter } from './fair-queue.ts'
import { PRIORITY_DEFAULT, PRIORITY_MAX } from './priority.ts'

/** A waiting request with its class. */
export interface ClassWaiter extends Waiter {
  readonly priority: number
}

/** One `FairQueue` for each class that has been used. */
export class ClassQueue {
  // Most models have requests of the default class only, so the queue of that class exists from the start.
  readonly #queues: (FairQueue | undefined)[] = Array.from({ length: PRIORITY_MAX + 1 }, (_, priority) =>
    priority === PRIORITY_DEFAULT ? new FairQueue() : undefined,
  )
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

  /** Returns the queue of one class. */
  of(priority: number): FairQueue {
    return (this.#queues[priority] ??= new FairQueue())
  }

  /** Returns the number or the bytes of the waiting requests in all classes above this one. */
  above(priority: number, measure: 'waiting' | 'bytes'): number {
    let total = 0
    for (let higher = priority + 1; higher <= PRIORITY_MAX; higher += 1) {
      total += this.#queues[higher]?.[measure] ?? 0
    }
    return total
  }

  /** Returns the number or the bytes of the waiting requests in all classes below this one. */
  below(priority: number, measure: 'waiting' | 'bytes'): number {
    let total = 0
    for (let lower = 0; lower < priority; lower += 1) total += this.#queues[lower]?.[measure] ?? 0
    return total
  }

  push(waiter: ClassWaiter): void {
    this.of(waiter.priority).push(waiter)
    this.#waiting += 1
    this.#bytes += waiter.bytes
  }

  /** Removes and returns the request whose turn it is. */
  shift(): Waiter | undefined {
    for (let priority = PRIORITY_MAX; priority >= 0; priority -= 1) {
      const waiter = this.#queues[priority]?.shift()
      if (waiter === undefined) continue
      this.#removed(waiter)
      return waiter
    }
    return undefined
  }

  /** Removes a request that has stopped waiting. */
  remove(waiter: ClassWaiter): void {
    this.of(waiter.priority).remove(waiter)
    this.#removed(waiter)
  }

  /**
   * Returns the request to remove to make room for one of class `priority`: in the lowest class with waiting requests,
   * the newest request of the client with the largest share; undefined if only higher classes wait.
   */
  victimFor(priority: number, measure: 'waiting' | 'bytes'): ClassWaiter | undefined {
    for (let lower = 0; lower <= priority; lower += 1) {
      const victim = this.#queues[lower]?.newestOfLargest(measure)
      if (victim !== undefined) return victim as ClassWaiter
    }
    return undefined
  }

  #removed({ bytes }: Waiter): void {
    this.#waiting -= 1
    this.#bytes -= bytes
  }
}
