// Tests how the priority of a request is read, and limited by the policy.
import { expect, test } from 'vitest'
import { Policy } from './policy.ts'
import { requestedPriority } from './priority.ts'

test.each(['0', '4', '9'])('reads the class %s', (text) => {
  expect(requestedPriority({ userProperties: ['priority', text] })).toBe(Number(text))
})

test('a request without the user property sets no class', () => {
  expect(requestedPriority({})).toBeUndefined()
})

test.each(['', '-1', '10', '1.5', 'high', '٣', ' 4'])('rejects %j', (text) => {
  expect(() => requestedPriority({ userProperties: ['priority', text] })).toThrow(
    expect.objectContaining({ code: 'bad_payload' }),
  )
})

test('a priority above the default requires a policy rule; the highest matching priorityMax applies', () => {
  expect(new Policy(undefined).grant('plc', 'iris', 'infer').priorityMax).toBe(4)
  const policy = new Policy([
    { clients: ['*'], models: ['*'] },
    { clients: ['plc'], models: ['iris'], priorityMax: 9 },
    { clients: ['plc'], models: ['*'], priorityMax: 7 },
    { clients: ['batch-*'], models: ['iris'], priorityMax: 0 },
  ])
  expect(policy.grant('plc', 'iris', 'infer').priorityMax).toBe(9)
  expect(policy.grant('plc', 'digits', 'infer').priorityMax).toBe(7)
  expect(policy.grant('cam7', 'iris', 'infer').priorityMax).toBe(4)
  const bounded = new Policy([{ clients: ['batch-*'], models: ['iris'], priorityMax: 0 }])
  expect(bounded.grant('batch-1', 'iris', 'infer').priorityMax).toBe(0)
})
