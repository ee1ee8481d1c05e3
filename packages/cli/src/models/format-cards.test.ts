import type { ConnectorStatus, ReceivedCard } from '@inferwire/protocol'
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

function status(more: Partial<ConnectorStatus> = {}): ConnectorStatus {
  const base = { contract: 1, connector: 'edge', state: 'online', version: '1', timestamp: 1 } as const
  return { ...base, models: ['iris'], ...more }
}

test('models ls: prints upper-case headers and aligned columns without trailing spaces', () => {
  expect(
    formatCardTable(
      [card, { ...card, name: 'digits-of-hand', protocol_versions: ['v1'] }],
      [status()],
      false,
    ),
  ).toBe(
    [
      'NAME             STATE     PROTOCOLS   OPERATIONS      DEFAULT',
      'iris             online    v2,v1       predict,infer   infer',
      'digits-of-hand   offline   v1          predict,infer   infer',
      '',
    ].join('\n'),
  )
})

test.each([
  ['-', []],
  ['online', [status()]],
  ['online', [status({ state: 'draining' }), status()]],
  ['draining', [status({ state: 'draining' })]],
  ['not ready', [status({ models: [], not_ready: ['iris'] })]],
  ['offline', [status({ state: 'offline' })]],
  ['offline', [status({ models: ['other'] })]],
])('models ls: shows the state %j for the statuses %j', (state, statuses) => {
  expect(formatCardTable([card], statuses, false)).toMatch(new RegExp(`^iris +${state} {2,}v2`, 'm'))
})

test('models ls -o wide: adds tensors and timeout', () => {
  expect(formatCardTable([card], [], true)).toMatch(/iris .* X:FP32\[-1,4\] +- +30s\n$/)
})

test('models describe: prints every member of the card', () => {
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

test('removes terminal control characters from the text of a card', () => {
  const evil = { ...card, description: '\u001b[2J', platform: '\u202e' }
  expect(formatCard(evil)).not.toMatch(/[\u001b\u202e]/)
  expect(formatCardTable([evil], [], true)).not.toMatch(/[\u001b\u202e]/)
})

test('prints the known members of a card with a newer contract version', () => {
  const bare = { contract: 2, name: 'later', operations: ['chat'] }
  expect(formatCardTable([bare], [], true)).toMatch(/^later +- +- +chat +- +- +- +- +-$/m)
  expect(formatCard(bare)).toBe('Name:               later\nOperations:         chat\n')
})

test('keeps all digits of an integer in an example', () => {
  const exact = { ...card, example: { operation: 'predict', body: { instances: [9007199254740993n] } } }
  expect(formatCard(exact)).toContain('{"instances":[9007199254740993]}')
})

test('for an unknown model, suggests the nearest name, or explains how to start a connector', () => {
  expect(findCard([card], 'iris')).toBe(card)
  expect(() => findCard([card], 'irs')).toThrow(
    expect.objectContaining({ exitCode: 1, remedy: expect.stringContaining('"iris"') as string }),
  )
  expect(() => findCard([card], 'something')).toThrow(
    expect.objectContaining({ remedy: 'The models are: iris.' }),
  )
  expect(() => findCard([], 'iris')).toThrow(expect.objectContaining({ exitCode: 69 }))
})

const DISCOVERY = { namespaces: ['*'], ready: 1, not_ready: 0, stopped: 0, refused: 0 }

test.each([
  ['online', { state: 'ready' }, status({ models: [], discovery: DISCOVERY })],
  ['not ready', { state: 'not_ready' }, status({ models: [], discovery: DISCOVERY })],
  ['stopped', { state: 'stopped' }, status({ models: [], discovery: DISCOVERY })],
  ['draining', { state: 'ready' }, status({ models: [], discovery: DISCOVERY, state: 'draining' })],
  ['offline', { state: 'ready' }, status({ models: [], discovery: DISCOVERY, state: 'offline' })],
  ['offline', { state: 'ready' }, status({ models: [], discovery: DISCOVERY, connector: 'other' })],
  ['offline', { state: 'ready' }, status({ models: [] })],
])('models ls: shows the state %j of a discovered model with %j', (state, more, its) => {
  const discovered = { ...card, ...more, connector: 'edge' }
  expect(formatCardTable([discovered], [its], false)).toMatch(new RegExp(`^iris +${state} {2,}v2`, 'm'))
})

test('models describe: shows why a model is not ready', () => {
  const text = formatCard({ ...card, state: 'not_ready', reason: 'it is stopped', connector: 'edge' })
  expect(text).toContain(
    'State:              not ready\nReason:             it is stopped\nConnector:          edge\n',
  )
})
