import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { StopSequences } from './stop-sequences.ts'

function passed(
  sequences: readonly string[],
  pieces: readonly string[],
): { text: string; isStopped: boolean } {
  const stop = new StopSequences(sequences)
  let text = ''
  for (const piece of pieces) {
    const found = stop.push(piece)
    text += found.text
    if (found.isStopped) return { text, isStopped: true }
  }
  return { text: text + stop.end(), isStopped: false }
}

test('the result does not depend on how the text is divided into pieces', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 20 })
  const sequence = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(fc.array(text), sequence, (pieces, stop) => {
      const whole = pieces.join('')
      const at = whole.indexOf(stop)
      expect(passed([stop], pieces)).toEqual(
        at < 0 ? { text: whole, isStopped: false } : { text: whole.slice(0, at), isStopped: true },
      )
    }),
  )
})

test('passes text on as soon as it cannot be part of a stop sequence', () => {
  const stop = new StopSequences(['###', 'END'])
  expect(stop.push('Hi #')).toEqual({ text: 'Hi ', isStopped: false })
  expect(stop.push('1 E')).toEqual({ text: '#1 ', isStopped: false })
  expect(stop.push('ND of it')).toEqual({ text: '', isStopped: true })
})

test('a text with two stop sequences ends before the first one', () => {
  expect(passed(['c', 'ab'], ['xa', 'bc'])).toEqual({ text: 'x', isStopped: true })
})
