import { expect, test } from 'vitest'
import type { ReceivedMessage } from '../mqtt/probe-link.ts'
import { judgeProperties } from './relay.ts'

const SENT = {
  responseTopic: 'infer/reply/ann/x',
  correlationData: Buffer.from([0, 1]),
  contentType: 'application/json',
  messageExpiryInterval: 60,
  userProperties: { 'inferwire-doctor': 'nonce' },
}

function arrived(properties: object | undefined): ReceivedMessage {
  return { topic: 't', payload: Buffer.alloc(0), packet: { properties } as ReceivedMessage['packet'] }
}

test('accepts equal properties, a shorter expiry, and further user properties', () => {
  const userProperties = { 'inferwire-doctor': ['nonce', 'other'], added: 'by a proxy' }
  expect(
    judgeProperties(SENT, arrived({ ...SENT, messageExpiryInterval: 58, userProperties })),
  ).toMatchObject({
    state: 'ok',
  })
})

test.each([
  ['no message', undefined, 5],
  ['no properties', arrived(undefined), 5],
  ['another Response Topic', arrived({ ...SENT, responseTopic: 'site/infer/reply/ann/x' }), 1],
  ['other Correlation Data', arrived({ ...SENT, correlationData: Buffer.from([0]) }), 1],
  ['a longer expiry', arrived({ ...SENT, messageExpiryInterval: 61 }), 1],
  ['another user property', arrived({ ...SENT, userProperties: { other: 'nonce' } }), 1],
])('reports %s', (_name, message, lost) => {
  const finding = judgeProperties(SENT, message)
  expect(finding).toMatchObject({ state: 'fault' })
  expect(finding.message.split(', ')).toHaveLength(lost)
})
