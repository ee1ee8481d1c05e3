import { expect, test } from 'vitest'
import { ServiceTime } from './service-time.ts'

test('the field has a meaning until an answer of the model comes without it', () => {
  const serviceTime = new ServiceTime()
  expect(serviceTime.isTelling).toBe(true)
  serviceTime.accepted(false)
  expect(serviceTime.isTelling).toBe(false)
  serviceTime.accepted(true)
  expect(serviceTime.isTelling).toBe(true)
})

test("the field has no meaning once the first gateway's own refusal has it", () => {
  const serviceTime = new ServiceTime()
  serviceTime.refused('no_pod', true)
  expect(serviceTime.isTelling).toBe(true)
  serviceTime.refused('token_expired', true)
  serviceTime.accepted(true)
  expect(serviceTime.isTelling).toBe(false)
  serviceTime.refused('token_expired', false)
  expect(serviceTime.isTelling).toBe(true)
})
