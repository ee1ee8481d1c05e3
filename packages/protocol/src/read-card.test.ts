import { expect, test } from 'vitest'
import { readCard } from './read-card.ts'

const card = {
  contract: 1,
  name: 'iris',
  description: 'flowers',
  protocol_versions: ['v2', 'v1'],
  operations: ['predict', 'infer'],
  default_operation: 'infer',
  platform: 'onnx',
  versions: ['1'],
  inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 4] }],
  outputs: [],
  request_topic: 'infer/request/{client}/iris',
  reply_topic: 'infer/reply/{client}/iris',
  limits: { request_bytes_max: 1024, response_bytes_max: 2048, timeout_ms: 30_000 },
  example: { operation: 'predict', body: { instances: [[1]] } },
}
const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))

test('reads a card completely, and keeps unknown members', () => {
  const { card: read } = readCard('iris', bytes({ ...card, later: { is: 'kept' } }))
  expect(read).toEqual({ ...card, later: { is: 'kept' } })
})

test.each<[what: string, payload: Uint8Array, mistake: RegExp, name?: string]>([
  ['an empty message', new Uint8Array(0), /not JSON/],
  ['bytes that are not UTF-8', new Uint8Array([0xff, 0xfe]), /not JSON \(The body is not UTF-8\)/],
  ['half of a card', bytes(card).subarray(0, 40), /not JSON/],
  ['null', bytes(null), /not a JSON object/],
  ['a list', bytes([card]), /not a JSON object/],
  ['a card without a contract', bytes({ name: 'iris', operations: [] }), /"contract"/],
  ['a card with a contract that is not a number', bytes({ ...card, contract: '1' }), /"contract"/],
  ['a card with contract 0', bytes({ ...card, contract: 0 }), /"contract"/],
  ['another model’s card', bytes({ ...card, name: 'digits' }), /"name"/],
  ['a card whose name is an object', bytes({ ...card, name: { toString: 'iris' } }), /"name"/],
  [
    'a card with a name that a request topic cannot contain',
    bytes({ ...card, name: 'a b' }),
    /"name" is not a valid/,
    'a b',
  ],
  ['a card without operations', bytes({ ...card, operations: [] }), /"operations"/],
  [
    'a card with operations that are not names',
    bytes({ ...card, operations: ['infer', null] }),
    /"operations"/,
  ],
  ['a card whose operations are a string', bytes({ ...card, operations: 'infer' }), /"operations"/],
])('rejects %s, and gives the reason', (_what, payload, mistake, name = 'iris') => {
  expect(readCard(name, payload)).toEqual({ mistake: expect.stringMatching(mistake) as string })
})

test.each([
  ['protocol_versions', 'v2'],
  ['default_operation', null],
  ['description', { de: 'Blumen' }],
  ['platform', 5],
  ['versions', [1, 2]],
  ['inputs', [{ name: 'X', datatype: 'FP32', shape: '[-1,4]' }]],
  ['outputs', [null]],
  ['request_topic', ['a', 'b']],
  ['reply_topic', false],
  ['limits', 30],
  ['example', { operation: 'predict' }],
])('a member %s of the wrong type is omitted, and the rest of the card is read', (member, value) => {
  const { card: read } = readCard('iris', bytes({ ...card, [member]: value }))
  expect(read).toEqual({ ...card, [member]: undefined })
})

test('a card of a newer contract is read as far as this version supports it', () => {
  const newer = {
    contract: 2,
    name: 'iris',
    protocol_versions: ['v3'],
    operations: ['chat'],
    default_operation: 'chat',
    limits: { timeout_ms: 5, tokens_max: 9, request_bytes_max: 'unbounded' },
    inputs: { X: 'FP32' },
  }
  expect(readCard('iris', bytes(newer)).card).toEqual({
    ...newer,
    limits: { timeout_ms: 5, tokens_max: 9, request_bytes_max: undefined },
    inputs: undefined,
  })
})

test.each([
  ['a number that a double cannot represent', '1e400'],
  ['a list that is nested 101 levels deep', `${'['.repeat(101)}"]"${']'.repeat(101)}`],
  ['an object that is nested 100,000 levels deep', `${'{"a":'.repeat(100_000)}{}${'}'.repeat(100_000)}`],
  ['an integer of 41 digits', '1'.repeat(41)],
  ['a list with a number that a double cannot represent', '[1,{"a":[]},-1e999]'],
])('%s in a member from a newer contract does not affect other members', (_what, value) => {
  const text = JSON.stringify(card).replace('{', `{"score":${value},"later":{"a":1,"b":${value}},`)
  const { card: read, mistake } = readCard('iris', new TextEncoder().encode(text))
  expect(mistake).toBeUndefined()
  expect(read).toMatchObject({ ...card, later: { a: 1 } })
})

test.each(['1e400', '[1e400', '['.repeat(101), '{"contract":1e400}', '{"a":1e}'])(
  'invalid text, or text beyond the limits, is not a card: %s',
  (text) => {
    expect(readCard('iris', new TextEncoder().encode(text)).mistake).toBeDefined()
  },
)

test('an integer in an example keeps its digits', () => {
  const text = JSON.stringify(card).replace('[[1]]', '[[9007199254740993]]')
  const { card: read } = readCard('iris', new TextEncoder().encode(text))
  expect(read?.example?.body).toEqual({ instances: [[9007199254740993n]] })
})

test('__proto__ and constructor are ordinary members', () => {
  const text = JSON.stringify(card).replace('{', '{"__proto__":{"polluted":true},')
  const { card: read } = readCard('iris', new TextEncoder().encode(text))
  expect(read).not.toHaveProperty('polluted')
  expect(Object.keys(read ?? {})).toContain('__proto__')
})
