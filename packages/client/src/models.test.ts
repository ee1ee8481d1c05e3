import { expect, test } from 'vitest'
import { readCard } from './models.ts'

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))

test('a card is JSON with its own name and a list of operations; unknown members stay', () => {
  const card = { contract: 1, name: 'iris', operations: ['predict'], later: true }
  expect(readCard('iris', bytes(card))).toEqual(card)
})

test.each([
  ['an empty payload', new Uint8Array(0)],
  ['no JSON', new TextEncoder().encode('{')],
  ['null', bytes(null)],
  ['a number', bytes(5)],
  ['another model’s card', bytes({ name: 'digits', operations: [] })],
  ['a card without operations', bytes({ name: 'iris' })],
])('%s is no card', (_what, payload) => {
  expect(readCard('iris', payload)).toBeUndefined()
})
