import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Policy } from './policy.ts'

const may = (policy: Policy, client: string, model: string): boolean => {
  try {
    policy.check(client, model)
    return true
  } catch (error) {
    expect(error).toMatchObject({ code: 'forbidden_model', status: 403 })
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
  for (let index = 0; index < 20_001; index++) {
    const isIn = index % 2 === 0
    if (may(policy, `${isIn ? 'in' : 'out'}-${index}`, 'm') !== isIn) expect.fail(`client ${index}`)
  }
  expect([may(policy, 'in-0', 'm'), may(policy, 'out-1', 'm')]).toEqual([true, false])
})
