// Tests how long and how many suspected clients are remembered.
import { expect, test } from 'vitest'
import { Suspects } from './suspects.ts'

test('a client is suspected for five seconds after its last failed request', () => {
  const suspects = new Suspects()
  suspects.add('a', 0)
  suspects.add('a', 3_000)
  expect([suspects.has('a', 7_999), suspects.has('b', 7_999), suspects.has(undefined, 0)]).toEqual([
    true,
    false,
    false,
  ])
  expect(suspects.has('a', 8_000)).toBe(false)
})

test('however many clients fail, only the newest are remembered', () => {
  const suspects = new Suspects()
  const names = Array.from({ length: 3_000 }, (_, index) => `c${index}`)
  for (const name of names) suspects.add(name, 0)
  expect(names.filter((name) => suspects.has(name, 0))).toEqual(names.slice(-1_024))
})
