import { OPERATIONS } from '@inferwire/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AllowRule } from './policy-rule.ts'
import { Policy } from './policy.ts'

const may = (policy: Policy, client: string, model: string, operation = 'infer'): boolean => {
  const isShown = policy.shows(client, model, operation)
  try {
    policy.grant(client, model, operation)
    expect(isShown).toBe(true)
    return true
  } catch (error) {
    expect(error).toMatchObject({ code: 'forbidden_model', status: 403 })
    expect(isShown).toBe(false)
    return false
  }
}

test('allows everything without a policy section, and nothing with an empty policy section', () => {
  expect(may(new Policy(undefined), 'cam7', 'iris')).toBe(true)
  expect(may(new Policy([]), 'cam7', 'iris')).toBe(false)
  expect(may(new Policy([{ clients: [], models: ['*'] }]), 'cam7', 'iris')).toBe(false)
  expect(may(new Policy([{ clients: ['*'], models: [] }]), 'cam7', 'iris')).toBe(false)
})

test('allows a client and a model only if one rule contains both', () => {
  const policy = new Policy([
    { clients: ['line-*'], models: ['defects', 'iris*'] },
    { clients: ['lab'], models: ['*'] },
  ])
  expect(may(policy, 'line-3', 'defects')).toBe(true)
  expect(may(policy, 'line-3', 'iris@2')).toBe(true)
  expect(may(policy, 'line-3', 'digits')).toBe(false)
  expect(may(policy, 'lab', 'digits')).toBe(true)
  expect(may(policy, 'lab2', 'digits')).toBe(false)
  expect(may(policy, 'xline-3', 'defects')).toBe(false)
  expect(may(policy, 'line-3', 'defects2')).toBe(false)
})

test.each([
  ['a.c', 'abc', false],
  ['a.c', 'a.c', true],
  ['[ab]', 'a', false],
  ['a|b', 'b', false],
  ['a?', 'a', false],
  ['(a', '(a', true],
  ['a\\', 'a\\', true],
  ['^a$', '^a$', true],
  ['*', '', true],
  ['*', 'a\nb', true],
  ['a**b', 'axxb', true],
  ['a*b*c', 'a--b--c', true],
  ['a*b*c', 'acb', false],
  ['A', 'a', false],
])('decides whether the pattern %j matches the client %j: %j', (glob, client, isAllowed) => {
  expect(may(new Policy([{ clients: [glob], models: ['m'] }]), client, 'm')).toBe(isAllowed)
})

test('treats only * as special in a pattern', () => {
  // Few letters, so that patterns match often.
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '.', '\\', '|', '$', '['), maxLength: 6 })
  fc.assert(
    fc.property(fc.array(text, { minLength: 1, maxLength: 4 }), text, (parts, client) => {
      const policy = new Policy([{ clients: [parts.join('*')], models: ['m'] }])
      expect(may(policy, client, 'm')).toBe(matches(parts, client))
      expect(may(policy, parts.join('-'), 'm')).toBe(true)
    }),
    { numRuns: 1000 },
  )
})

// Whether the text contains the parts in order, the first at the start and the last at the end.
function matches(parts: readonly string[], text: string): boolean {
  const [first, ...rest] = parts
  if (rest.length === 0) return text === first
  if (!text.startsWith(first!)) return false
  const last = rest.pop()!
  let from = first!.length
  for (const part of rest) {
    const found = text.indexOf(part, from)
    if (found === -1) return false
    from = found + part.length
  }
  return text.length - last.length >= from && text.endsWith(last)
}

test('matches a pattern with many asterisks quickly, whatever the name of the client is', () => {
  const policy = new Policy([{ clients: [`${'*-'.repeat(120)}x`], models: ['m'] }])
  // A regular expression would need an impractically long time.
  expect(may(policy, '-'.repeat(255), 'm')).toBe(false)
  expect(may(policy, `${'-'.repeat(254)}x`, 'm')).toBe(true)
})

test('decides correctly for more clients than the cache can hold', () => {
  const policy = new Policy([{ clients: ['in-*'], models: ['m'] }])
  for (let index = 0; index < 40_001; index++) {
    const isIn = index % 2 === 0
    if (may(policy, `${isIn ? 'in' : 'out'}-${index}`, 'm') !== isIn) expect.fail(`client ${index}`)
  }
  expect([may(policy, 'in-0', 'm'), may(policy, 'out-1', 'm')]).toEqual([true, false])
})

describe('operations', () => {
  const policy = new Policy([
    { clients: ['line-*'], models: ['defects'], operations: ['infer', 'ready'] },
    { clients: ['line-3'], models: ['defects'], operations: ['explain'] },
    { clients: ['lab'], models: ['*'] },
  ])

  test('are allowed if one of the rules that match the client and the model contains them', () => {
    expect(may(policy, 'line-1', 'defects', 'infer')).toBe(true)
    expect(may(policy, 'line-1', 'defects', 'explain')).toBe(false)
    expect(may(policy, 'line-3', 'defects', 'infer')).toBe(true)
    expect(may(policy, 'line-3', 'defects', 'explain')).toBe(true)
    expect(may(policy, 'line-3', 'iris', 'infer')).toBe(false)
    for (const operation of Object.keys(OPERATIONS)) expect(may(policy, 'lab', 'iris', operation)).toBe(true)
  })

  test('are never allowed if they do not exist', () => {
    for (const operation of ['', 'INFER', 'constructor', '__proto__']) {
      expect(may(policy, 'lab', 'iris', operation)).toBe(false)
    }
  })

  test('do not hide the model, and are shown with showForbidden', () => {
    expect(policy.shows('line-1', 'defects')).toBe(true)
    expect(policy.shows('line-1', 'iris')).toBe(false)
    const open = new Policy([{ clients: ['a'], models: ['m'], operations: ['infer'] }], true)
    expect(open.shows('a', 'm', 'explain')).toBe(true)
    expect(() => open.grant('a', 'm', 'explain')).toThrow(
      'Client "a" is not allowed to use operation "explain" of model "m".',
    )
    expect(() => open.grant('b', 'm', 'infer')).toThrow('Client "b" is not allowed to use model "m".')
  })
})

const grantOf = (...rules: AllowRule[]) => new Policy(rules).grant('a', 'm', 'infer')

// Returns how many of `count` requests at the same time are admitted.
function admitted(policy: Policy, count: number, bytes = 1, client = 'a', nowMs = 0): number {
  const grant = policy.grant(client, 'm', 'infer')
  let spent = 0
  for (let index = 0; index < count; index++) {
    try {
      policy.spend(grant, client, bytes, nowMs)
      spent += 1
    } catch (error) {
      expect(error).toMatchObject({ code: 'overloaded', retryable: true })
    }
  }
  return spent
}

describe('the limits of several matching rules', () => {
  const wide = { clients: ['*'], models: ['*'] }

  test('are the highest priority and the largest body; a rule without a limit allows any size', () => {
    expect(grantOf({ ...wide, priorityMax: 2 }, { ...wide, priorityMax: 7 }).priorityMax).toBe(7)
    expect(grantOf({ ...wide, priorityMax: 2 }, wide).priorityMax).toBe(4)
    expect(grantOf({ ...wide, requestBytesMax: 10 }, { ...wide, requestBytesMax: 20 }).requestBytesMax).toBe(
      20,
    )
    expect(grantOf({ ...wide, requestBytesMax: 10 }, wide).requestBytesMax).toBe(Infinity)
    expect(
      grantOf(
        { ...wide, requestBytesMax: 10 },
        { ...wide, operations: ['explain'], requestBytesMax: 20, priorityMax: 9 },
      ),
    ).toMatchObject({ requestBytesMax: 10, priorityMax: 4 })
  })

  const rated = (burst: number, parts: Partial<AllowRule> = {}): AllowRule => ({
    ...wide,
    rate: { requestsPerSecond: 1, burst },
    ...parts,
  })

  test('add up to the sum of their rates; a rule without a rate allows any number', () => {
    expect(admitted(new Policy([rated(3), rated(5)]), 20)).toBe(8)
    expect(admitted(new Policy([rated(3), wide]), 20)).toBe(20)
  })

  test('belong together: a large body counts only against a rule that allows its size', () => {
    const policy = new Policy([rated(3, { requestBytesMax: 100 }), rated(5, { requestBytesMax: 1_000 })])
    expect(admitted(policy, 20, 500)).toBe(5)
    expect(admitted(policy, 20, 50)).toBe(3)
    const open = new Policy([{ ...wide, requestBytesMax: 100 }, rated(2)])
    expect(admitted(open, 20, 500)).toBe(2)
    expect(admitted(open, 20, 50)).toBe(20)
  })

  test('count for each client of a rule, and for all its models together', () => {
    const policy = new Policy([rated(3)])
    expect(admitted(policy, 20, 1, 'a')).toBe(3)
    expect(admitted(policy, 20, 1, 'b')).toBe(3)
    expect(() => policy.spend(policy.grant('a', 'other', 'infer'), 'a', 1, 0)).toThrow('exceeds its limit')
  })

  test('are reported with the time after which a request is allowed again; the rule appears only in the log', () => {
    const policy = new Policy([wide, rated(1, { clients: ['b'] })].slice(1))
    expect(admitted(policy, 1, 1, 'b')).toBe(1)
    const grant = policy.grant('b', 'm', 'infer')
    expect(() => policy.spend(grant, 'b', 1, 250)).toThrow(
      expect.objectContaining({
        message: 'Client "b" exceeds its limit of 1 requests per second for this model.',
        detail: 'The limit is policy.allow[0].rate.',
        retryAfterMs: 750,
      }),
    )
    policy.spend(grant, 'b', 1, 1_000)
  })

  test('survive a reload that leaves the rule unchanged', () => {
    const policy = new Policy([rated(3)])
    expect(admitted(policy, 2)).toBe(2)
    policy.update([{ clients: ['other'], models: ['*'] }, rated(3)])
    expect(admitted(policy, 20)).toBe(1)
    policy.update([rated(4)])
    expect(admitted(policy, 20)).toBe(4)
  })
})

test('a decision does not keep the topic of a request in memory', () => {
  // The names are views of long texts, as the levels of a topic are.
  const policy = new Policy([{ clients: ['*'], models: ['*'] }])
  const before = process.memoryUsage().heapUsed
  for (let index = 0; index < 9_000; index++) {
    const topic = `a-client-with-a-long-name-${index}/${'x'.repeat(8_000)}${index}`
    policy.grant(topic.split('/')[0]!, 'm', 'infer')
  }
  // The texts together have 72 MB.
  expect((process.memoryUsage().heapUsed - before) / 1e6).toBeLessThan(40)
})
