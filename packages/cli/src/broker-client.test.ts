import { InferwireError } from '@inferwire/client'
import { expect, test } from 'vitest'
import { noneIfForbidden } from './broker-client.ts'

test('without read access, the list of statuses is empty; a lost connection is an error', () => {
  expect(noneIfForbidden(new InferwireError('not_authorized', 'not granted'))).toEqual([])
  const lost = new InferwireError('broker_unreachable', 'The connection is lost.')
  expect(() => noneIfForbidden(lost)).toThrow(lost)
})
