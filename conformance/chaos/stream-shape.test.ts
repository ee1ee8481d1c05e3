// Tests the checks of streams with correct and incorrect streams.
import { describe, expect, test } from 'vitest'
import { breakOf, partsOf, partTo, SdkReading, wrongEnd, wrongPart } from './stream-shape.ts'

const NAME = 'chaos-2'
const CLIENT = 2
const LONG = pairWhere((pair) => partsOf(pair) > 3 && breakOf(pair) === undefined)
const BROKEN = pairWhere((pair) => breakOf(pair) !== undefined && partsOf(pair) > 1)

function pairWhere(matches: (pair: number) => boolean): number {
  for (let pair = 0; ; pair++) if (matches(pair)) return pair
}

/** Returns what the SDK's checker finds if the application reads these parts: pairs of `seq` and body. */
function read(pair: number, parts: readonly (readonly [number, string])[], hasEnded: boolean): unknown[] {
  const reading = new SdkReading(2 * pair, CLIENT)
  const found = parts.map(([seq, body]) => reading.part(seq, body)?.kind)
  return [...found, hasEnded ? reading.end()?.kind : undefined].filter((kind) => kind !== undefined)
}

const partsUpTo = (pair: number, end: number): [number, string][] =>
  Array.from({ length: end }, (_, part) => [part, partTo(NAME, pair, part)])

describe('a part', () => {
  test('is correct if its content belongs to its part number', () => {
    expect(wrongPart(2 * LONG, CLIENT, 1, partTo(NAME, LONG, 1))).toBeUndefined()
  })

  test('is altered if its content belongs to another part number', () => {
    expect(wrongPart(2 * LONG, CLIENT, 1, partTo(NAME, LONG, 2))?.kind).toBe('altered')
  })

  test('is crossed if it belongs to the counterpart or to another request', () => {
    expect(wrongPart(2 * LONG, CLIENT, 1, partTo('chaos-3', LONG, 1))?.kind).toBe('crossed')
    expect(wrongPart(2 * LONG, CLIENT, 1, partTo(NAME, LONG + 1, 1))?.kind).toBe('crossed')
  })
})

describe('the end of a stream', () => {
  test('is correct only after all parts', () => {
    expect(wrongEnd(2 * LONG, CLIENT, partsOf(LONG))).toBeUndefined()
    expect(wrongEnd(2 * LONG, CLIENT, partsOf(LONG) - 1)?.kind).toBe('altered')
  })

  test('is never correct if the model server broke the stream', () => {
    for (let count = 0; count <= partsOf(BROKEN); count++)
      expect(wrongEnd(2 * BROKEN, CLIENT, count)?.kind).toBe('altered')
  })
})

describe('a stream that the SDK passes on', () => {
  test('is correct if it is complete, or if it ends with an error', () => {
    expect(read(LONG, partsUpTo(LONG, partsOf(LONG)), true)).toEqual([])
    expect(read(LONG, partsUpTo(LONG, 2), false)).toEqual([])
  })

  test('has an unseen gap if a part is missing in the middle', () => {
    const parts = partsUpTo(LONG, partsOf(LONG)).filter(([seq]) => seq !== 1)
    expect(read(LONG, parts, true)).toEqual(['gap'])
  })

  test('has an unseen gap if it ends too early', () => {
    expect(read(LONG, partsUpTo(LONG, 2), true)).toEqual(['gap'])
  })

  test('is altered if a part is missing although the part numbers have no gap', () => {
    const parts = partsUpTo(LONG, partsOf(LONG))
      .filter(([seq]) => seq !== 1)
      .map(([, body], index): [number, string] => [index, body])
    expect(read(LONG, parts, true)).toEqual(['altered'])
  })
})
