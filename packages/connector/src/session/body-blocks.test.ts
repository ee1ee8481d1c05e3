import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { BodyBlocks } from './body-blocks.ts'

const KB = 1024
const MB = 1024 * KB
let blocks: BodyBlocks

beforeEach(() => {
  vi.useFakeTimers()
  blocks = new BodyBlocks()
})

afterEach(() => vi.useRealTimers())

test('uses the memory of a returned body for the next body of a similar size', () => {
  const first = blocks.take(600_000).fill(7)
  blocks.give(first.subarray(100))
  const next = blocks.take(590_000)
  expect([next.length, next.every((byte) => byte === 7), blocks.freeBytes]).toEqual([590_000, true, 0])
})

test('uses the memory of a body again for a body of the same size, and for a slightly larger or smaller one', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 64 * KB, max: 12 * MB }),
      fc.double({ min: 0.95, max: 1.1, noNaN: true }),
      (length, ratio) => {
        const own = new BodyBlocks()
        own.give(own.take(length))
        expect(own.freeBytes).toBeLessThanOrEqual(1.25 * length)
        own.take(Math.max(64 * KB, Math.floor(length * ratio)))
        expect(own.freeBytes).toBe(0)
      },
    ),
    { numRuns: 100 },
  )
})

test('ignores a body that was returned before', () => {
  const body = blocks.take(100_000)
  blocks.give(body)
  const { freeBytes } = blocks
  blocks.give(body)
  expect(blocks.freeBytes).toBe(freeBytes)
})

test('empties every view of a returned body, so that it cannot show a later one', () => {
  const first = blocks.take(600_000).fill(7)
  const view = first.subarray(10, 20)
  blocks.give(first)
  blocks.take(600_000).fill(8)
  expect([first.length, view.length, view.toString()]).toEqual([0, 0, ''])
})

test('does not use a much larger block, or a smaller one', () => {
  blocks.give(blocks.take(4 * MB))
  blocks.give(blocks.take(100_000))
  const { freeBytes } = blocks
  blocks.take(600_000)
  expect(blocks.freeBytes).toBe(freeBytes)
})

test('copies bytes', () => {
  blocks.give(blocks.take(100_000).fill(9))
  const bytes = Buffer.alloc(100_000, 'abc')
  expect([blocks.copy(bytes).equals(bytes), blocks.freeBytes]).toEqual([true, 0])
  expect(blocks.copy(bytes.subarray(0, 3)).toString()).toBe('abc')
})

test.each([
  ['small', () => Buffer.from('small')],
  ['pooled', () => Buffer.allocUnsafe(10)],
  ['empty', () => Buffer.alloc(0)],
  ['as large as a block, but allocated elsewhere', () => Buffer.alloc(64 * KB)],
  ['a copy of a small body', () => blocks.copy(Buffer.from('{}'))],
  ['shared between threads', () => Buffer.from(new SharedArrayBuffer(64 * KB))],
])('ignores a buffer that is %s', (_, bytes) => {
  const given = bytes()
  const { length } = given
  blocks.give(given)
  expect([given.length, blocks.freeBytes]).toEqual([length, 0])
})

test('keeps at most 16 MiB, and drops the oldest blocks first', () => {
  for (const block of Array.from({ length: 20 }, () => blocks.take(MB))) blocks.give(block)
  expect(blocks.freeBytes).toBeGreaterThan(14 * MB)
  expect(blocks.freeBytes).toBeLessThanOrEqual(16 * MB)
  // Dropping the oldest blocks makes room for this one, which can be used again at once.
  blocks.give(blocks.take(4 * MB))
  expect(blocks.freeBytes).toBeLessThanOrEqual(16 * MB)
  const { freeBytes } = blocks
  blocks.take(4 * MB)
  expect(freeBytes - blocks.freeBytes).toBeGreaterThan(4 * MB)
  blocks.give(blocks.take(64 * MB))
  expect(blocks.freeBytes).toBeLessThanOrEqual(16 * MB)
})

test('frees all blocks if no body is received for some time', () => {
  blocks.give(blocks.take(MB))
  vi.advanceTimersByTime(10_000)
  expect(blocks.freeBytes).toBeGreaterThan(MB)
  vi.advanceTimersByTime(10_000)
  expect([blocks.freeBytes, vi.getTimerCount()]).toEqual([0, 0])
  blocks.give(blocks.take(MB))
  for (let seconds = 0; seconds < 60; seconds += 5) {
    vi.advanceTimersByTime(5_000)
    blocks.give(blocks.take(MB))
  }
  expect(blocks.freeBytes).toBeGreaterThan(MB)
})
