import fc from 'fast-check'
import { expect, test } from 'vitest'
import { nearestName } from './nearest.ts'

test('suggests a name that differs only by one typo, but does not suggest an unrelated name', () => {
  const names = ['iris', 'digits', 'mobilenet']
  expect(nearestName('irs', names)).toBe('iris')
  expect(nearestName('Iris', names)).toBe('iris')
  expect(nearestName('digitss', names)).toBe('digits')
  expect(nearestName('mobilnett', names)).toBe('mobilenet')
  expect(nearestName('resnet', names)).toBeUndefined()
  expect(nearestName('', names)).toBeUndefined()
  expect(nearestName('iris', [])).toBeUndefined()
})

test('finds an exact match among any other candidates', () => {
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[a-z0-9-]{1,12}$/), { minLength: 1 }), (names) => {
      expect(nearestName(names[0]!, names)).toBe(names[0])
    }),
  )
})
