import { OPERATIONS, type OperationName } from '@inferwire/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Policy, type AllowRule } from './admission/index.ts'
import { explainPolicy } from './policy-explanation.ts'

const explain = (
  allow: AllowRule[] | undefined,
  client: string,
  model: string,
  operation: OperationName = 'infer',
  showForbidden = false,
) => {
  const policy = allow === undefined ? undefined : { allow: allow as never, showForbidden }
  return explainPolicy({ policy }, client, model, operation)
}
const RULES: AllowRule[] = [
  { clients: ['line-*'], models: ['defects'], operations: ['infer', 'ready'], requestBytesMax: 100 },
  { clients: ['line-3'], models: ['defects'], rate: { requestsPerSecond: 2.5 }, priorityMax: 9 },
]

test('names the rules that allow a request, with their limits', () => {
  expect(explain(RULES, 'line-3', 'defects')).toEqual({
    isAllowed: true,
    rules: [
      { path: 'policy.allow[0]', requestBytesMax: 100, rate: undefined },
      {
        path: 'policy.allow[1]',
        requestBytesMax: undefined,
        rate: { requestsPerSecond: 2.5, burst: 2 },
      },
    ],
    priorityMax: 9,
  })
  expect(explain(undefined, 'x', 'y')).toEqual({ isAllowed: true, rules: [], priorityMax: 4 })
})

test('states why a request is denied, and which rules match most of it', () => {
  expect(explain([], 'a', 'b')).toMatchObject({ reason: 'policy.allow is empty', nearest: [] })
  expect(explain(RULES, 'cam', 'defects')).toEqual({
    isAllowed: false,
    code: 'model_not_found',
    reason: 'no rule matches the client',
    nearest: [],
  })
  expect(explain(RULES, 'line-1', 'iris')).toEqual({
    isAllowed: false,
    code: 'model_not_found',
    reason: 'no rule that matches the client matches the model',
    nearest: [{ path: 'policy.allow[0]', mismatch: 'matches the client, but its models are defects' }],
  })
  expect(explain(RULES, 'line-1', 'defects', 'explain')).toEqual({
    isAllowed: false,
    code: 'operation_not_supported',
    reason: 'no rule that matches the client and the model allows the operation',
    nearest: [
      {
        path: 'policy.allow[0]',
        mismatch: 'matches the client and the model, but its operations are infer, ready',
      },
    ],
  })
  expect(explain(RULES, 'line-1', 'defects', 'explain', true)).toMatchObject({ code: 'forbidden_model' })
})

test('lists at most five rules, and five names of each', () => {
  const many = Array.from({ length: 20 }, (_, index) => `m${index}`)
  const found = explain(
    many.map(() => ({ clients: ['*'], models: many })),
    'a',
    'b',
  )
  const mismatch = 'matches the client, but its models are m0, m1, m2, m3, m4, and 15 more'
  expect(found).toMatchObject({ nearest: many.slice(0, 5).map(() => ({ mismatch })) })
})

test('agrees with the policy for any rules', () => {
  const names = fc.array(fc.constantFrom('a', 'b', 'a*', '*b', '*'), { minLength: 1, maxLength: 2 })
  const operations = Object.keys(OPERATIONS) as OperationName[]
  const rule = fc.record(
    {
      clients: names,
      models: names,
      operations: fc.subarray(operations, { minLength: 1, maxLength: 3 }),
      priorityMax: fc.nat(9),
      requestBytesMax: fc.integer({ min: 1, max: 9 }),
    },
    { requiredKeys: ['clients', 'models'] },
  )
  const name = fc.constantFrom('a', 'b', 'ab', 'c')
  fc.assert(
    fc.property(
      fc.option(fc.array(rule, { maxLength: 4 }), { nil: undefined }),
      name,
      name,
      fc.constantFrom(...operations),
      fc.boolean(),
      (allow, client, model, operation, showForbidden) => {
        const policy = new Policy(allow, showForbidden)
        const explained = explain(allow, client, model, operation, showForbidden)
        const decide = (): unknown => policy.grant(client, model, operation)
        if (!explained.isAllowed) {
          expect(decide).toThrow('is not allowed')
          return
        }
        expect(decide()).toMatchObject({ priorityMax: explained.priorityMax })
        expect(explained.rules.length > 0).toBe(allow !== undefined)
      },
    ),
    { numRuns: 1_000 },
  )
})
