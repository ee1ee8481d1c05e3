// Simulated time: an ordered queue of events replaces the timers and clocks of Node.js, so that no real time passes.
import { syncBuiltinESMExports } from 'node:module'
import timersPromises from 'node:timers/promises'
import type { Random } from '../fixtures/random.ts'

/** A simulated process. Its timers and sockets end with the process, and wait while it is frozen. */
export interface Owner {
  readonly name: string
  isAlive: boolean
  frozenUntilMs: number
  /** Number of pending timers and immediates. */
  timers: number
  /** Whether the process has promises and streams, which run after each of its events. */
  readonly isAsync: boolean
}

/** A scheduled event; corresponds to a Timeout or an Immediate of Node.js. */
export class Timer {
  atMs: number
  order: number
  readonly run: () => void
  readonly owner: Owner | undefined
  readonly isOwnTimer: boolean
  /** Period of an interval, in milliseconds. */
  readonly everyMs: number | undefined
  isOver = false

  constructor(
    atMs: number,
    order: number,
    run: () => void,
    owner: Owner | undefined,
    isOwnTimer: boolean,
    everyMs?: number,
  ) {
    this.atMs = atMs
    this.order = order
    this.run = run
    this.owner = owner
    this.isOwnTimer = isOwnTimer
    this.everyMs = everyMs
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  hasRef(): boolean {
    return true
  }
}

/** The wall clock at simulated time 0. */
const EPOCH_MS = Date.UTC(2030, 0, 1)

/** The clock of one run. Only one clock is installed at a time; see `withSimulatedTime`. */
export class SimulatedClock {
  nowMs = 0
  /** Called with each error that an event throws. Such an error would end a real process. */
  uncaught: ((error: unknown, owner: Owner | undefined) => void) | undefined
  /** Source of random numbers that replaces Math.random. */
  readonly random: Random
  #owner: Owner | undefined
  #order = 0
  readonly #heap: Timer[] = []

  constructor(random: Random) {
    this.random = random
  }

  /**
   * Schedules an event. If the event belongs to a process, it waits while that process is frozen, and is dropped if
   * that process has ended.
   */
  after(delayMs: number, run: () => void, owner?: Owner): Timer {
    return this.#add(new Timer(this.nowMs + delayMs, this.#order++, run, owner, false))
  }

  /** Schedules a timer of the current process. */
  setTimer(delayMs: number, run: () => void, isInterval = false): Timer {
    const owner = this.#owner
    if (owner !== undefined) owner.timers += 1
    return this.#add(
      new Timer(this.nowMs + delayMs, this.#order++, run, owner, true, isInterval ? delayMs : undefined),
    )
  }

  clear(timer: Timer | undefined): void {
    if (timer === undefined || timer.isOver) return
    timer.isOver = true
    if (timer.isOwnTimer && timer.owner !== undefined) timer.owner.timers -= 1
  }

  /** Runs the events that are due by `untilMs`. Stops as soon as `isDone` returns true. */
  async run(untilMs: number, isDone: () => boolean = () => false): Promise<void> {
    while (!isDone()) {
      const next = this.#heap[0]
      if (next === undefined || next.atMs > untilMs) {
        this.nowMs = Math.max(this.nowMs, untilMs)
        return
      }
      this.#pop()
      if (next.isOver || next.owner?.isAlive === false) continue
      if (next.owner !== undefined && next.owner.frozenUntilMs > next.atMs) {
        next.atMs = next.owner.frozenUntilMs
        this.#add(next)
        continue
      }
      this.nowMs = next.atMs
      await this.#execute(next)
    }
  }

  async #execute(timer: Timer): Promise<void> {
    if (timer.everyMs !== undefined) {
      timer.atMs = this.nowMs + timer.everyMs
      timer.order = this.#order++
      this.#add(timer)
    } else if (timer.isOwnTimer) {
      this.clear(timer)
    } else {
      timer.isOver = true
    }
    this.#owner = timer.owner
    try {
      timer.run()
    } catch (error) {
      this.uncaught?.(error, timer.owner)
    }
    if (timer.owner?.isAsync === true) await settled()
    this.#owner = undefined
  }

  #add(timer: Timer): Timer {
    const heap = this.#heap
    let index = heap.push(timer) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!isBefore(timer, heap[parent]!)) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = timer
    return timer
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1
      if (!isBefore(heap[child]!, last)) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = last
  }
}

function isBefore(one: Timer, other: Timer): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order)
}

// Waits until all ticks (streams) and promises have run. Ticks and promises run alternately. Each wait below runs
// all ticks and promises that are queued at that time; the end of a stream needs three waits. The event loop is
// never entered, so no real event can interfere.
async function settled(): Promise<void> {
  await new Promise<void>(nextTick)
  await new Promise<void>(nextTick)
  await new Promise<void>(nextTick)
  await new Promise<void>(nextTick)
}

const nextTick = (run: () => void): void => process.nextTick(run)

let current: SimulatedClock | undefined

/** Sets the clock that the timers and clocks of Node.js use inside `withSimulatedTime`. */
export function useClock(clock: SimulatedClock): void {
  current = clock
}

/** Replaces the clocks and timers of Node.js while `work` runs. `work` must not wait for real events. */
export async function withSimulatedTime<Result>(work: () => Promise<Result>): Promise<Result> {
  const restore = install()
  try {
    return await work()
  } finally {
    current = undefined
    restore()
  }
}

function install(): () => void {
  const real = {
    setTimeout,
    clearTimeout,
    setInterval,
    clearInterval,
    setImmediate,
    clearImmediate,
  }
  const realNow = Date.now
  const realRandom = Math.random
  const realSleep = timersPromises.setTimeout
  Object.assign(globalThis, {
    // Node.js treats a delay of 0 as 1.
    setTimeout: (run: (...given: unknown[]) => void, delayMs = 1, ...given: unknown[]) =>
      current!.setTimer(Math.max(1, delayMs), () => run(...given)),
    clearTimeout: clearTimer,
    setInterval: (run: (...given: unknown[]) => void, delayMs = 1, ...given: unknown[]) =>
      current!.setTimer(Math.max(1, delayMs), () => run(...given), true),
    clearInterval: clearTimer,
    setImmediate: (run: (...given: unknown[]) => void, ...given: unknown[]) =>
      current!.setTimer(0, () => run(...given)),
    clearImmediate: clearTimer,
  })
  performance.now = () => current!.nowMs
  Date.now = () => EPOCH_MS + Math.floor(current!.nowMs)
  Math.random = () => current!.random.next()
  timersPromises.setTimeout = sleep as typeof timersPromises.setTimeout
  syncBuiltinESMExports()
  return () => {
    Object.assign(globalThis, real)
    // Deletes the instance's own property, so that the prototype's property is visible again.
    delete (performance as { now?: () => number }).now
    Date.now = realNow
    Math.random = realRandom
    timersPromises.setTimeout = realSleep
    syncBuiltinESMExports()
  }
}

function clearTimer(timer: Timer | undefined): void {
  current!.clear(timer)
}

function sleep<Value>(delayMs: number, value: Value, options: { signal?: AbortSignal } = {}): Promise<Value> {
  const { signal } = options
  const clock = current!
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason)
    const stop = (): void => {
      clock.clear(timer)
      reject(signal!.reason)
    }
    const timer = clock.setTimer(Math.max(1, delayMs), () => {
      signal?.removeEventListener('abort', stop)
      resolve(value)
    })
    signal?.addEventListener('abort', stop, { once: true })
  })
}
