import type { ReceivedCard } from '@inferwire/protocol'
import { expect, test } from 'vitest'
import { findCard } from './find-card.ts'
import { formatCard, formatCardTable } from './format-cards.ts'

const card: ReceivedCard = {
  contract: 1,
  name: 'iris',
  protocol_versions: ['v2', 'v1'],
  operations: ['predict', 'infer'],
  default_operation: 'infer',
  inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 4] }],
  request_topic: 'infer/request/{client}/iris',
  reply_topic: 'infer/reply/{client}/iris',
  limits: { request_bytes_max: 1024, response_bytes_max: 2048, timeout_ms: 30_000 },
  example: { operation: 'predict', body: { instances: [[1]] } },
}

test('models ls: upper-case headers, aligned columns, nothing at the ends of lines', () => {
  expect(formatCardTable([card, { ...card, name: 'digits-of-hand', protocol_versions: ['v1'] }], false)).toBe(
    [
      'NAME             PROTOCOLS   OPERATIONS      DEFAULT',
      'iris             v2,v1       predict,infer   infer',
      'digits-of-hand   v1          predict,infer   infer',
      '',
    ].join('\n'),
  )
})

test('models ls -o wide says tensors and time', () => {
  expect(formatCardTable([card], true)).toMatch(/iris .* X:FP32\[-1,4\] +- +30s\n$/)
})

test('models describe says everything that the card has', () => {
  const text = formatCard(card)
  for (const part of [
    'iris',
    'X:FP32[-1,4]',
    'infer/request/{client}/iris',
    '30000 ms',
    '{"instances":[[1]]}',
  ]) {
    expect(text).toContain(part)
  }
  expect(text).not.toContain('undefined')
})

test('text of a card cannot move the cursor of a terminal', () => {
  const evil = { ...card, description: '\u001b[2J', platform: '\u202e' }
  expect(formatCard(evil)).not.toMatch(/[\u001b\u202e]/)
  expect(formatCardTable([evil], true)).not.toMatch(/[\u001b\u202e]/)
})

test('a card of a newer contract is shown as far as it goes', () => {
  const bare = { contract: 2, name: 'later', operations: ['chat'] }
  expect(formatCardTable([bare], true)).toMatch(/^later +- +chat +- +- +- +- +-$/m)
  expect(formatCard(bare)).toBe('Name:               later\nOperations:         chat\n')
})

test('an integer of an example keeps its digits', () => {
  const exact = { ...card, example: { operation: 'predict', body: { instances: [9007199254740993n] } } }
  expect(formatCard(exact)).toContain('{"instances":[9007199254740993]}')
})

test('a model that is not there: the nearest name, or what to do', () => {
  expect(findCard([card], 'iris')).toBe(card)
  expect(() => findCard([card], 'irs')).toThrow(
    expect.objectContaining({ exitCode: 1, remedy: expect.stringContaining('"iris"') as string }),
  )
  expect(() => findCard([card], 'something')).toThrow(expect.objectContaining({ remedy: 'There are: iris.' }))
  expect(() => findCard([], 'iris')).toThrow(expect.objectContaining({ exitCode: 69 }))
})
