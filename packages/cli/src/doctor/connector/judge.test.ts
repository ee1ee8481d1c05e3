// Tests the judgements of the checks of connectors.
import type { ConnectorStatus } from '@inferwire/protocol'
import { expect, test } from 'vitest'
import type { ReceivedMessage } from '../mqtt/probe-link.ts'
import { VERSION } from '../../version.ts'
import { answersExpected, judgeAnswers } from './answer.ts'
import { judgeCards } from './cards.ts'
import { judgeModels, judgeReplicas, judgeStatuses } from './status.ts'

function status(connector: string, more: Partial<ConnectorStatus> = {}): ConnectorStatus {
  return {
    contract: 1,
    connector,
    state: 'online',
    version: VERSION,
    timestamp: 1,
    models: ['iris'],
    ...more,
  }
}

test.each([
  ['none', [], 'fault', /No connector has published a status below plant\/infer\/status/],
  ['online', [status('a')], 'ok', /"a" .* is online with 1 models/],
  ['offline', [status('a', { state: 'offline' })], 'fault', /"a" is offline/],
  ['draining', [status('a', { state: 'draining' })], 'fault', /"a" is draining/],
  ['one offline, one online', [status('a', { state: 'offline' }), status('b')], 'ok', /"b"/],
  ['another version', [status('a', { version: '9.9.9' })], 'warning', /9\.9\.9/],
  ['a name with control characters', [status('a\u001b[2J')], 'ok', /^[^\u001b]*$/],
])('statuses: %s', (_name, statuses, state, message) => {
  const [finding, ...others] = judgeStatuses(statuses, 'plant/infer')
  expect(others).toEqual([])
  expect(finding).toMatchObject({ state })
  expect(finding!.message).toMatch(message)
})

test.each([
  ['one connector', [status('a')], 'ok'],
  ['two connectors with different models', [status('a'), status('b', { models: ['digits'] })], 'ok'],
  [
    'two connectors in one shared subscription',
    [status('a', { share: 's' }), status('b', { share: 's' })],
    'ok',
  ],
  ['two connectors, one of them offline', [status('a'), status('b', { state: 'offline' })], 'ok'],
  ['two connectors without a shared subscription', [status('a'), status('b')], 'fault'],
  ['two shared subscriptions', [status('a', { share: 's' }), status('b', { share: 't' })], 'fault'],
  ['one of two in a shared subscription', [status('a', { share: 's' }), status('b')], 'fault'],
])('replicas: %s', (_name, statuses, state) => {
  expect(judgeReplicas(statuses)).toMatchObject([{ state }])
})

test('models: tells models apart that are missing and that are not ready', () => {
  const statuses = [status('a', { models: ['iris'], not_ready: ['slow'] })]
  expect(judgeModels(['iris'], statuses)).toMatchObject([{ state: 'ok' }])
  expect(judgeModels(['iris', 'slow', 'gone'], statuses)).toMatchObject(
    [
      { state: 'fault', message: /never reached the server of model "slow"/ },
      { state: 'fault', message: /"gone" is configured, but no connector exposes it/ },
    ].map(({ state, message }) => ({ state, message: expect.stringMatching(message) as string })),
  )
})

test('cards: reports at most ten cards without a model', () => {
  const names = Array.from({ length: 30 }, (_, index) => `old-${index}`)
  expect(judgeCards(['iris'], [status('a')], 'infer/models/')).toMatchObject([{ state: 'ok' }])
  expect(judgeCards([...names, 'iris'], [status('a')], 'infer/models/')).toHaveLength(10)
})

test('cards: discovered models are served, although a status does not list them', () => {
  const discovery = {
    namespaces: ['vision'],
    aliases: ['defects_v2'],
    ready: 2,
    not_ready: 0,
    stopped: 0,
    refused: 0,
  }
  const cards = (...names: string[]) => judgeCards(names, [status('a', { discovery })], 'infer/models/')
  expect(cards('iris', 'cats.vision', 'defects_v2')).toMatchObject([{ state: 'ok' }])
  expect(cards('cats.sound', 'cats')).toMatchObject([{ state: 'warning' }, { state: 'warning' }])
  expect(judgeStatuses([status('a', { discovery })], 'infer')[0]!.message).toContain(
    'and 2 discovered models',
  )
})

const CORRELATION = Buffer.from('nonce')

function answer(body: string, correlationData: Buffer | undefined = CORRELATION): ReceivedMessage {
  const properties = correlationData === undefined ? {} : { correlationData }
  return { topic: 't', payload: Buffer.from(body), packet: { properties } as ReceivedMessage['packet'] }
}

const NOT_FOUND = '{"error":"no such model","code":"model_not_found"}'

test.each([
  ['no status', [], undefined],
  ['one connector', [status('a')], 1],
  ['two connectors with different models', [status('a'), status('b', { models: ['digits'] })], 2],
  ['a shared subscription', [status('a', { share: 's' }), status('b', { share: 's' })], 1],
  ['a shared subscription and a connector', [status('a', { share: 's' }), status('b')], 2],
  ['one of two online', [status('a'), status('b', { state: 'offline' })], 1],
  ['none online', [status('a', { state: 'offline' })], 1],
])('answers: the number that is expected with %s', (_name, statuses, expected) => {
  expect(answersExpected(statuses)).toBe(expected)
})

const TWO = [answer(NOT_FOUND), answer(NOT_FOUND)]

test.each([
  ['two of two', TWO, 2, 'ok', /^2 connectors answer/],
  ['two without statuses', TWO, undefined, 'warning', /2 connectors answer, but their statuses/],
  ['one of two', [answer(NOT_FOUND)], 2, 'fault', /Only 1 of 2/],
])('answers: %s', (_name, answers, expected, state, message) => {
  const finding = judgeAnswers(answers, { expected, correlationData: CORRELATION, mqttVersion: 5 })
  expect(finding).toMatchObject({ state })
  expect(finding.message).toMatch(message)
})

test.each([
  ['one answer', [answer(NOT_FOUND)], 5, 'ok', /model_not_found/],
  ['two answers', TWO, 5, 'fault', /answered 2 times/],
  [
    'an answer without Correlation Data',
    [answer(NOT_FOUND, Buffer.alloc(0))],
    5,
    'fault',
    /without its Correlation Data/,
  ],
  ['an MQTT 3.1.1 answer', [answer(NOT_FOUND, Buffer.alloc(0))], '3.1.1', 'ok', /answers/],
  ['an answer of another program', [answer('hello')], 5, 'fault', /Another program/],
] as const)('answers: %s', (_name, answers, version, state, message) => {
  const finding = judgeAnswers(answers, { expected: 1, correlationData: CORRELATION, mqttVersion: version })
  expect(finding).toMatchObject({ state })
  expect(finding.message).toMatch(message)
})
