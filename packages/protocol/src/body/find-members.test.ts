// Tests the search for members against JSON.parse, on valid, invalid and mutated bodies.
import { expect, test } from 'vitest'
import { findMembers } from './find-members.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const found = (text: string, ...names: string[]): [string, string][] =>
  findMembers(bytes(text), names).members.map(({ name, start, end }) => [
    name,
    new TextDecoder().decode(bytes(text).subarray(start, end)),
  ])

test.each([
  ['{"model":"a","messages":[]}', [['model', '"a"']]],
  [' {\n"messages":[{"model":"inner"}] , "model" : "a" } ', [['model', '"a"']]],
  ['{"mod\\u0065l":"a"}', [['model', '"a"']]],
  [
    '{"model":"a","Model":null,"MODEL":{"x":[1,2]}}',
    [
      ['model', '"a"'],
      ['Model', 'null'],
      ['MODEL', '{"x":[1,2]}'],
    ],
  ],
  ['{"text":"\\"model\\":\\"b\\"","model":-1.5e+3}', [['model', '-1.5e+3']]],
  ['{"models":"a","mode":"b","ümodel":1}', []],
  ['{}', []],
])('finds the members of the outermost object only: %s', (text, members) => {
  expect(found(text, 'model')).toEqual(members)
})

test('reports where a member can be inserted', () => {
  expect(findMembers(bytes(' { }'), ['model'])).toEqual({ members: [], insertAt: 2, isEmpty: true })
  expect(findMembers(bytes('{"a":1}'), ['model'])).toEqual({ members: [], insertAt: 1, isEmpty: false })
})

test.each([
  '',
  '[]',
  '{',
  '{"a"}',
  '{"a":}',
  '{"a":1,}',
  '{,}',
  '{"a":1 "b":2}',
  '{"a":[1,]}',
  '{"a":[1}}',
  '{"a":{"b":1]}',
  '{"a":{"b":1,}}',
  '{"a":01}',
  '{"a":1.}',
  '{"a":-}',
  '{"a":+1}',
  '{"a":1e}',
  '{"a":NaN}',
  '{"a":Infinity}',
  '{"a":nul}',
  '{"a":"\t"}',
  '{"a":"\\x"}',
  '{"a":"\\u12g4"}',
  '{"a":"b}',
  '{"a":1}}',
  '{"a":1} {"model":"b"}',
  '\ufeff{}',
  "{'model':1}",
  '{"a":1/*,"model":"b"*/}',
  '{\0"\0a\0"\0:\u00001\0}\0',
])('rejects a body that is not valid JSON: %j', (text) => {
  expect(() => findMembers(bytes(text), ['model'])).toThrow('valid JSON')
})

const nested = (depth: number): string => `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`

test('limits the depth', () => {
  expect(found(nested(98), 'model')).toEqual([])
  expect(() => found(nested(200), 'model')).toThrow('valid JSON')
})

test('accepts and rejects exactly the objects that JSON.parse does, after random mutations', () => {
  const base = '{"model":"m\\n","a":[1,-2.5e3,{"b":null,"c":[true,false,""]}],"stream":true}'
  const alphabet = '{}[]",:\\0123eE+-.tfn u\t'
  let state = 7
  const random = (below: number): number => {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff
    return state % below
  }
  let accepted = 0
  for (let round = 0; round < 20_000; round += 1) {
    let text = base
    for (let edits = random(3); edits >= 0; edits -= 1) {
      const at = random(text.length)
      text = text.slice(0, at) + alphabet[random(alphabet.length)] + text.slice(at + random(2))
    }
    let parsed: unknown
    try {
      parsed = JSON.parse(text)
    } catch {
      parsed = undefined
    }
    const isObject = typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
    let read: boolean
    try {
      findMembers(bytes(text), ['model'])
      read = true
    } catch {
      read = false
    }
    expect([text, read]).toEqual([text, isObject])
    if (read) accepted += 1
  }
  expect(accepted).toBeGreaterThan(1_000)
})
