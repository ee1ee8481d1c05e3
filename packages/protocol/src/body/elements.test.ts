// Tests the elements of BYTES against a writer that uses Buffer.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { afterElements, countElements, decodeElements, joinElements, splitElements } from './elements.ts'

function written(elements: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    elements.flatMap((element) => {
      const length = Buffer.alloc(4)
      length.writeUInt32LE(element.length)
      return [length, element]
    }),
  )
}

const anyElements = fc.array(fc.uint8Array({ maxLength: 8 }), { maxLength: 6 })

test('joins elements, and splits them again, at any offset of a buffer', () => {
  fc.assert(
    fc.property(anyElements, fc.nat(4), (elements, offset) => {
      expect(Buffer.from(joinElements(elements))).toEqual(written(elements))
      const raw = new Uint8Array(Buffer.concat([Buffer.alloc(offset), written(elements)])).subarray(offset)
      expect(splitElements(raw)).toEqual(elements)
      expect(countElements(raw)).toBe(elements.length)
      for (let count = 0; count <= elements.length; count++) {
        expect(afterElements(raw, 0, count)).toBe(written(elements.slice(0, count)).length)
      }
      expect(afterElements(raw, 0, elements.length + 1)).toBeGreaterThan(raw.length)
    }),
  )
})

test('finds a truncated element', () => {
  fc.assert(
    fc.property(anyElements, fc.nat(100), (elements, at) => {
      const raw = joinElements(elements)
      const cut = raw.subarray(0, at % (raw.length + 1))
      const isWhole = elements.some((_, index) => written(elements.slice(0, index)).length === cut.length)
      const isExpected = isWhole || cut.length === raw.length
      expect(splitElements(cut) !== undefined).toBe(isExpected)
      expect(countElements(cut) !== undefined).toBe(isExpected)
    }),
  )
})

test('decodes texts, and passes each one on before it decodes the next', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 5 })), (texts) => {
      const raw = joinElements(texts.map((text) => Buffer.from(text)))
      const visited: string[] = []
      expect(decodeElements(raw, (text) => void visited.push(text))).toEqual(texts)
      expect(visited).toEqual(texts)
    }),
  )
  expect(() => decodeElements(Uint8Array.of(1, 0, 0, 0, 0xff))).toThrow(TypeError)
})
