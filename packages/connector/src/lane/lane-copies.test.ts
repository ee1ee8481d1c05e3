import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ByteBudget } from '../admission/byte-budget.ts'
import type { Delivery } from '../step.ts'
import { LaneCopies } from './lane-copies.ts'

let dropped: string[]
// On the main session.
let handled: string[]
let handledOnLane: string[]
const ofLane = new WeakSet<Delivery>()
let copies: LaneCopies
let budget: ByteBudget

beforeEach(() => {
  vi.useFakeTimers()
  dropped = []
  handled = []
  handledOnLane = []
  budget = new ByteBudget(10_000)
  copies = new LaneCopies({
    budget,
    drop: (delivery) => dropped.push(delivery.payload.toString()),
    handle: (delivery) => (ofLane.has(delivery) ? handledOnLane : handled).push(delivery.payload.toString()),
    isNamed: ({ properties }) => properties.correlationData !== undefined,
  })
})

afterEach(() => {
  copies.stop()
  expect([copies.held, budget.bytes]).toEqual([0, 0])
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

// Each session makes its own object of the same message.
const copyOf = (body: string, dup = false): Delivery =>
  ({
    topic: 'infer/request/cam7/chat/infer',
    payload: Buffer.from(body),
    propertyBytes: 10,
    properties: { correlationData: Buffer.from('c') },
    dup,
  }) as unknown as Delivery

const main = (...bodies: string[]): void => bodies.forEach((body) => copies.onMain(copyOf(body)))
const lane = (...bodies: string[]): void =>
  bodies.forEach((body) => {
    const delivery = copyOf(body)
    ofLane.add(delivery)
    copies.onLane(delivery)
  })

test('without a lane the main session handles everything', () => {
  main('a', 'b')
  expect([handled, dropped]).toEqual([['a', 'b'], []])
})

test('once both sessions have delivered the same request, the copies of the main session are dropped', () => {
  copies.laneReady(false)
  main('a')
  lane('a')
  main('b', 'c')
  lane('b', 'c')
  expect([handled, dropped]).toEqual([[], ['a', 'b', 'c']])
})

test('which of the two is first makes no difference', () => {
  copies.laneReady(false)
  lane('a', 'b')
  main('a', 'b')
  expect([handled, dropped]).toEqual([[], ['a', 'b']])
})

test('what is older than the lane has no twin, and is handled: at the first twin, or after a while', () => {
  copies.laneReady(false)
  main('old 1', 'old 2', 'a')
  lane('a')
  expect([handled, dropped]).toEqual([['old 1', 'old 2'], ['a']])

  copies.laneGone()
  copies.laneReady(false)
  main('lone')
  vi.advanceTimersByTime(2_000)
  expect(handled).toEqual(['old 1', 'old 2', 'lone'])
})

test('a lane whose broker kept its session has its copies, and those held meanwhile are dropped', () => {
  copies.laneReady(true)
  main('a')
  copies.laneGone()
  main('b')
  expect(copies.held).toBe(1)
  copies.laneReady(true)
  main('c')
  expect([handled, dropped]).toEqual([[], ['a', 'b', 'c']])
})

test('a broker that forgot the lane has forgotten its copies: those held are handled', () => {
  copies.laneReady(true)
  copies.laneGone()
  main('a', 'b')
  copies.laneReady(false)
  vi.advanceTimersByTime(2_000)
  expect([handled, dropped]).toEqual([['a', 'b'], []])
})

test('a lane that leaves: only a twin proves that it got a request, and the others are handled', () => {
  copies.laneReady(true)
  copies.laneLeaving()
  main('a', 'b')
  lane('b')
  lane('c')
  main('c', 'd')
  expect([handled, dropped]).toEqual([[], ['b', 'c']])
  copies.laneLeft()
  main('e')
  expect([handled, dropped]).toEqual([
    ['a', 'd', 'e'],
    ['b', 'c'],
  ])
})

test('a lane that stays away or fails leaves its model to the main session', () => {
  copies.laneReady(true)
  copies.laneGone()
  main('a')
  vi.advanceTimersByTime(60_000)
  main('b')
  expect(handled).toEqual(['a', 'b'])

  copies.laneReady(false)
  main('c')
  copies.laneLeft()
  main('d')
  expect([handled, dropped]).toEqual([['a', 'b', 'c', 'd'], []])
})

test('a lane that ends before the two have met holds nothing back', () => {
  copies.laneReady(false)
  main('a')
  copies.laneGone()
  expect(handled).toEqual(['a'])
})

test('what the lane saw before they met is bounded', () => {
  copies.laneReady(false)
  for (let number = 0; number < 6_000; number++) lane(`n${number}`)
  main('n0')
  expect(copies.held).toBe(1)
  main('n5999')
  expect([handled, dropped]).toEqual([['n0'], ['n5999']])
})

test('a lane with a backlog meets the main session at a request that was handled there long before', () => {
  copies.laneReady(false)
  main('a')
  vi.advanceTimersByTime(10_000)
  main('b')
  lane('a')
  main('c')
  expect([handled, dropped]).toEqual([['a'], ['b', 'c']])
})

test('a redelivered copy is not dropped: it may be older than the lane, and run here', () => {
  copies.laneReady(true)
  copies.onMain(copyOf('old', true))
  main('new')
  expect([handled, dropped]).toEqual([['old'], ['new']])
})

test('equal copies share one fate', () => {
  copies.laneReady(false)
  main('a', 'a')
  lane('a')
  expect(dropped).toEqual(['a', 'a'])
})

test('copies that the byte budget has no room for are handled at once', () => {
  copies.laneReady(true)
  copies.laneGone()
  main('x'.repeat(6_000), 'y'.repeat(6_000))
  expect(handled).toEqual(['y'.repeat(6_000)])
  expect(copies.held).toBe(1)
})

test('a lane that reconnects while it leaves does not meet: it may have unsubscribed', () => {
  copies.laneReady(true)
  copies.laneLeaving()
  main('a')
  copies.laneReady(true)
  vi.advanceTimersByTime(2_000)
  expect([handled, dropped]).toEqual([['a'], []])
})

test('stopped, it begins nothing, whatever the lane does', () => {
  copies.laneReady(true)
  copies.stop()
  copies.laneGone()
  main('a')
  copies.laneReady(false)
  vi.advanceTimersByTime(100_000)
  expect([handled, dropped]).toEqual([[], []])
})

test('drops a copy that arrives after the lane has handled it and left', () => {
  copies.laneReady(true)
  lane('a', 'b', 'b')
  main('b')
  copies.laneLeaving()
  main('a')
  copies.laneLeft()
  main('b')
  expect([handled, handledOnLane, dropped]).toEqual([[], ['a', 'b', 'b'], ['b', 'a', 'b']])
  // Sent again by the client: only the main session receives it.
  main('b')
  expect(handled).toEqual(['b'])
})

test('handles a request once that arrives while the lane subscribes, whichever session is first', () => {
  copies.laneJoins()
  main('a')
  copies.laneReady(false)
  lane('a', 'b')
  main('b')
  expect([handled, handledOnLane, dropped]).toEqual([['a'], ['b'], ['a', 'b']])
})

test('drops a late copy from before the lane left and returned', () => {
  copies.laneReady(true)
  lane('a', 'late')
  copies.laneLeaving()
  copies.laneLeft()
  copies.laneJoins()
  main('a', 'old')
  copies.laneReady(false)
  main('late')
  lane('b')
  main('b')
  expect([handled, handledOnLane, dropped]).toEqual([['old'], ['a', 'late', 'b'], ['a', 'late', 'b']])
})

test('expects no late copies 2 s after the lane has left', () => {
  copies.laneReady(true)
  lane('a')
  copies.laneLeaving()
  copies.laneLeft()
  expect(copies.hasLeft).toBe(false)
  vi.advanceTimersByTime(2_001)
  expect(copies.hasLeft).toBe(true)
  main('a')
  expect([handled, dropped]).toEqual([['a'], []])
})

const nameless = (): Delivery => ({ ...copyOf('same'), properties: {} })

test('takes equal requests without a name for different ones', () => {
  copies.laneJoins()
  copies.onMain(nameless())
  copies.laneReady(false)
  copies.onLane(nameless())
  expect([handled, dropped]).toEqual([['same', 'same'], []])
})
