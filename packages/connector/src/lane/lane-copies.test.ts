import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ByteBudget } from '../admission/byte-budget.ts'
import type { Delivery } from '../step.ts'
import { LaneCopies } from './lane-copies.ts'

let dropped: string[]
// Requests that were handled on the main session.
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

// Each session creates its own object for the same message.
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

test('without a lane, handles every request of the main session', () => {
  main('a', 'b')
  expect([handled, dropped]).toEqual([['a', 'b'], []])
})

test("drops the main session's copies after both sessions have delivered the same request", () => {
  copies.laneReady(false)
  main('a')
  lane('a')
  main('b', 'c')
  lane('b', 'c')
  expect([handled, dropped]).toEqual([[], ['a', 'b', 'c']])
})

test("drops the main session's copies even if the lane delivers first", () => {
  copies.laneReady(false)
  lane('a', 'b')
  main('a', 'b')
  expect([handled, dropped]).toEqual([[], ['a', 'b']])
})

test('after both sessions deliver the same request, or a timeout, handles copies older than the lane', () => {
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

test("drops held copies if the broker kept the lane's session", () => {
  copies.laneReady(true)
  main('a')
  copies.laneGone()
  main('b')
  expect(copies.held).toBe(1)
  copies.laneReady(true)
  main('c')
  expect([handled, dropped]).toEqual([[], ['a', 'b', 'c']])
})

test("handles held copies if the broker discarded the lane's session", () => {
  copies.laneReady(true)
  copies.laneGone()
  main('a', 'b')
  copies.laneReady(false)
  vi.advanceTimersByTime(2_000)
  expect([handled, dropped]).toEqual([['a', 'b'], []])
})

test('drops only the copies that a leaving lane also delivers, and handles all other copies', () => {
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

test('lets the main session serve the model while the lane stays disconnected or fails', () => {
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

test('handles held copies if the lane disconnects before both sessions have delivered the same request', () => {
  copies.laneReady(false)
  main('a')
  copies.laneGone()
  expect(handled).toEqual(['a'])
})

test('limits the number of fingerprints that are kept until both sessions have delivered the same request', () => {
  copies.laneReady(false)
  for (let number = 0; number < 6_000; number++) lane(`n${number}`)
  main('n0')
  expect(copies.held).toBe(1)
  main('n5999')
  expect([handled, dropped]).toEqual([['n0'], ['n5999']])
})

test("drops the main session's copies once a lane with a backlog delivers requests that the main session delivered long before", () => {
  copies.laneReady(false)
  main('a', 'b')
  vi.advanceTimersByTime(10_000)
  main('c')
  lane('a', 'b')
  main('d')
  expect([handled, dropped]).toEqual([
    ['a', 'b'],
    ['c', 'd'],
  ])
})

test.each([
  [
    'while the lane was down',
    () => {
      copies.laneJoins()
      main('a')
      vi.advanceTimersByTime(1_000)
      copies.laneReady(false)
    },
  ],
  [
    'because the lane did not deliver it in time',
    () => {
      copies.laneReady(false)
      main('a')
      vi.advanceTimersByTime(2_500)
    },
  ],
])('handles every repeat of a request that was handled %s', (_when, begin) => {
  begin()
  main('a')
  lane('a')
  main('a')
  lane('a')
  vi.advanceTimersByTime(2_000)
  expect(handled.length + handledOnLane.length).toBe(3)
})

test('handles a repeat that arrives after the lane has left', () => {
  copies.laneReady(true)
  main('a')
  vi.advanceTimersByTime(3_000)
  lane('a')
  copies.laneLeaving()
  copies.laneLeft()
  main('a')
  expect([handled, handledOnLane]).toEqual([['a'], ['a']])
})

test('handles the held copies when a leaving lane disconnects', () => {
  copies.laneReady(true)
  copies.laneLeaving()
  main('a')
  copies.laneGone()
  main('b')
  expect(handled).toEqual(['a', 'b'])
})

test('handles a redelivered copy, because its request may be older than the lane and still running', () => {
  copies.laneReady(true)
  copies.onMain(copyOf('old', true))
  main('new')
  expect([handled, dropped]).toEqual([['old'], ['new']])
})

test('for each delivery on the lane, drops only one of several identical copies', () => {
  copies.laneReady(false)
  main('a', 'a')
  lane('a')
  expect([handled, handledOnLane, dropped]).toEqual([['a'], ['a'], ['a']])
  // This delivery is the counterpart of the copy that the main session has handled.
  lane('a')
  expect([handled, handledOnLane, dropped]).toEqual([['a'], ['a'], ['a', 'a']])
})

test('handles copies at once if the byte budget has no room for them', () => {
  copies.laneReady(true)
  copies.laneGone()
  main('x'.repeat(6_000), 'y'.repeat(6_000))
  expect(handled).toEqual(['y'.repeat(6_000)])
  expect(copies.held).toBe(1)
})

test("handles the main session's copies if a leaving lane reconnects, because the lane may have unsubscribed", () => {
  copies.laneReady(true)
  copies.laneLeaving()
  main('a')
  copies.laneReady(true)
  vi.advanceTimersByTime(2_000)
  expect([handled, dropped]).toEqual([['a'], []])
})

test('starts nothing after stop, whatever the lane does', () => {
  copies.laneReady(true)
  copies.stop()
  copies.laneGone()
  main('a')
  copies.laneReady(false)
  vi.advanceTimersByTime(100_000)
  expect([handled, dropped]).toEqual([[], []])
})

test('drops a copy that arrives after the lane has handled the request and left', () => {
  copies.laneReady(true)
  lane('a', 'b', 'b')
  main('b')
  copies.laneLeaving()
  main('a')
  copies.laneLeft()
  main('b')
  expect([handled, handledOnLane, dropped]).toEqual([[], ['a', 'b', 'b'], ['b', 'a', 'b']])
  // The client repeats the request, and only the main session receives it.
  main('b')
  expect(handled).toEqual(['b'])
})

test('handles a request only once if it arrives while the lane subscribes, whichever session is first', () => {
  copies.laneJoins()
  main('a')
  copies.laneReady(false)
  lane('a', 'b')
  main('b')
  expect([handled, handledOnLane, dropped]).toEqual([['a'], ['b'], ['a', 'b']])
})

test('drops a late copy of a request that the lane handled before it left and returned', () => {
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

test('expects no late copies more than 2 s after the lane has left', () => {
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

test('handles identical requests without id and Correlation Data as different requests', () => {
  copies.laneJoins()
  copies.onMain(nameless())
  copies.laneReady(false)
  copies.onLane(nameless())
  expect([handled, dropped]).toEqual([['same', 'same'], []])
})

test('leaves the model to the main session if a leaving lane disconnects and reconnects', () => {
  copies.laneReady(true)
  copies.laneLeaving()
  copies.laneGone()
  copies.laneReady(true)
  main('a')
  expect([handled, copies.held]).toEqual([['a'], 0])
})
