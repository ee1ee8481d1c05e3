import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Delivery } from '../step.ts'
import { LaneCopies } from './lane-copies.ts'

let dropped: string[]
let handled: string[]
let copies: LaneCopies

beforeEach(() => {
  vi.useFakeTimers()
  dropped = []
  handled = []
  copies = new LaneCopies({
    drop: (delivery) => dropped.push(delivery.payload.toString()),
    handle: (delivery) => handled.push(delivery.payload.toString()),
  })
})

afterEach(() => {
  expect(copies.held).toBe(0)
  copies.stop()
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

// Each session makes its own object of the same message.
const copyOf = (body: string): Delivery =>
  ({
    topic: 'infer/request/cam7/chat/infer',
    payload: Buffer.from(body),
    properties: { correlationData: Buffer.from('c') },
  }) as unknown as Delivery

const main = (...bodies: string[]): void => bodies.forEach((body) => copies.onMain(copyOf(body)))
const lane = (...bodies: string[]): void => bodies.forEach((body) => copies.onLane(copyOf(body)))

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
  for (let number = 0; number < 3_000; number++) lane(`n${number}`)
  main('n0')
  expect(copies.held).toBe(1)
  main('n2999')
  expect([handled, dropped]).toEqual([['n0'], ['n2999']])
})
