// Simulates a broker with two sessions, whose deliveries interleave in any order. No request may be lost, whatever the
// lane does.
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ByteBudget } from '../admission/byte-budget.ts'
import type { Delivery } from '../step.ts'
import { LaneCopies } from './lane-copies.ts'

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

type Action =
  | 'publish'
  | 'main'
  | 'lane'
  | 'subscribe'
  | 'unsubscribe'
  | 'disconnect'
  | 'connect'
  | { readonly waitMs: number }

/** The lane's queue contains requests and, in order, the acknowledgements of its subscriptions. */
class TwoSessions {
  readonly handled = new Map<string, number>()
  readonly published = new Map<string, number>()
  readonly #copies: LaneCopies
  readonly #main: string[] = []
  readonly #lane: (string | { readonly change: number })[] = []
  readonly #names: () => string
  #isSubscribed = false
  #isConnected = true
  #wanted: 'in' | 'out' = 'out'
  #changes = 0

  constructor(names: () => string) {
    this.#names = names
    this.#copies = new LaneCopies({
      budget: new ByteBudget(1_000_000),
      drop: () => {},
      handle: (delivery) => count(this.handled, delivery.payload.toString()),
      isNamed: () => true,
    })
    this.#copies.laneJoins()
  }

  run(action: Action): void {
    if (typeof action === 'object') vi.advanceTimersByTime(action.waitMs)
    else if (action === 'publish') this.#publish()
    else if (action === 'main') this.#deliverMain()
    else if (action === 'lane') this.#deliverLane()
    else if (action === 'disconnect') this.#disconnect()
    else if (action === 'connect') this.#connect()
    else this.#change(action)
  }

  /** Delivers everything, and fires all timers. */
  finish(): void {
    this.#connect()
    while (this.#main.length > 0) this.#deliverMain()
    while (this.#lane.length > 0) this.#deliverLane()
    vi.advanceTimersByTime(120_000)
    this.#copies.stop()
  }

  #publish(): void {
    const name = this.#names()
    count(this.published, name)
    this.#main.push(name)
    if (this.#isSubscribed) this.#lane.push(name)
  }

  #deliverMain(): void {
    const name = this.#main.shift()
    if (name !== undefined) this.#copies.onMain(copyOf(name))
  }

  #deliverLane(): void {
    if (!this.#isConnected) return
    const next = this.#lane.shift()
    if (typeof next === 'string') this.#copies.onLane(copyOf(next))
    // If several changes are under way, only the acknowledgement of the last change counts.
    else if (next?.change === this.#changes) this.#acknowledged()
  }

  #change(action: 'subscribe' | 'unsubscribe'): void {
    const wanted = action === 'subscribe' ? 'in' : 'out'
    if (!this.#isConnected || wanted === this.#wanted) return
    this.#wanted = wanted
    this.#isSubscribed = wanted === 'in'
    if (wanted === 'in') this.#copies.laneJoins()
    else this.#copies.laneLeaving()
    this.#lane.push({ change: ++this.#changes })
  }

  #acknowledged(): void {
    if (this.#wanted === 'in') this.#copies.laneReady(false)
    else this.#copies.laneLeft()
  }

  #disconnect(): void {
    if (!this.#isConnected) return
    this.#isConnected = false
    this.#copies.laneGone()
  }

  #connect(): void {
    if (this.#isConnected) return
    this.#isConnected = true
    this.#lane.push({ change: ++this.#changes })
  }
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}

const copyOf = (name: string): Delivery =>
  ({
    topic: 'infer/request/cam7/chat/infer/1',
    payload: Buffer.from(name),
    propertyBytes: 0,
    properties: {},
    dup: false,
  }) as unknown as Delivery

const action = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Action>('publish') },
  { weight: 6, arbitrary: fc.constant<Action>('main') },
  { weight: 6, arbitrary: fc.constant<Action>('lane') },
  { weight: 2, arbitrary: fc.constantFrom<Action>('subscribe', 'unsubscribe') },
  { weight: 1, arbitrary: fc.constantFrom<Action>('disconnect', 'connect') },
  { weight: 2, arbitrary: fc.nat(3_000).map<Action>((waitMs) => ({ waitMs })) },
)
const actions = fc.array(action, { maxLength: 80 })

test('handles every request at least once, in whatever order the two sessions deliver the copies', () => {
  fc.assert(
    fc.property(actions, (steps) => {
      let next = 0
      const sessions = new TwoSessions(() => `request ${next++}`)
      for (const step of steps) sessions.run(step)
      sessions.finish()
      expect([...sessions.handled.keys()].sort()).toEqual([...sessions.published.keys()].sort())
    }),
    { numRuns: 3_000 },
  )
})

test('handles at least as many identical requests as the client published', () => {
  fc.assert(
    fc.property(actions, (steps) => {
      const sessions = new TwoSessions(() => 'the same')
      for (const step of steps) sessions.run(step)
      sessions.finish()
      const published = sessions.published.get('the same') ?? 0
      expect(sessions.handled.get('the same') ?? 0).toBeGreaterThanOrEqual(published)
    }),
    { numRuns: 3_000 },
  )
})

test('handles each request exactly once if both sessions deliver promptly, whenever the lane subscribes or unsubscribes', () => {
  const prompt = fc.array(
    fc.constantFrom<Action>('publish', 'publish', 'main', 'lane', 'main', 'lane', 'subscribe', 'unsubscribe'),
    { maxLength: 80 },
  )
  fc.assert(
    fc.property(prompt, (steps) => {
      let next = 0
      const sessions = new TwoSessions(() => `request ${next++}`)
      for (const step of steps) sessions.run(step)
      sessions.finish()
      expect([...sessions.handled.values()].filter((times) => times !== 1)).toEqual([])
    }),
    { numRuns: 3_000 },
  )
})

test('handles at least as many requests as the client published, even if the client repeats some of them', () => {
  fc.assert(
    fc.property(actions, fc.infiniteStream(fc.nat(6)), (steps, names) => {
      const sessions = new TwoSessions(() => `request ${names.next().value as number}`)
      for (const step of steps) sessions.run(step)
      sessions.finish()
      for (const [name, published] of sessions.published)
        expect(sessions.handled.get(name) ?? 0).toBeGreaterThanOrEqual(published)
    }),
    { numRuns: 3_000 },
  )
})
