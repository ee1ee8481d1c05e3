import type { ConnectorConfig } from '@inferwire/connector'
import { expect, test } from 'vitest'
import {
  judgeKeepAlive,
  judgePacketSize,
  judgeQos,
  judgeReceiveMaximum,
  judgeRetained,
  judgeWildcards,
} from './limits.ts'

const MIB = 1024 * 1024

function config(requestBytesMax: number, responseBytesMax: number, keepAliveSeconds = 30): ConnectorConfig {
  const limits = { requestBytesMax, responseBytesMax }
  return { broker: { keepAliveSeconds }, models: { iris: { limits } } } as unknown as ConnectorConfig
}

test.each([
  ['no limit of the broker', undefined, 'ok'],
  ['a packet of exactly the largest size', MIB + 4_096, 'ok'],
  ['a packet that is one byte too small', MIB + 4_095, 'fault'],
])('packet size: %s', (_name, maximumPacketSize, state) => {
  const properties = maximumPacketSize === undefined ? {} : { maximumPacketSize }
  expect(judgePacketSize(properties, config(MIB, 1))).toMatchObject([{ state }])
})

test('packet size: names the options and the size that mosquitto.conf needs', () => {
  const [finding] = judgePacketSize({ maximumPacketSize: 2_000_000 }, config(4 * MIB, 8 * MIB))
  expect(finding!.message).toMatch(
    /models\.iris\.limits\.requestBytesMax, models\.iris\.limits\.responseBytesMax/,
  )
  expect(finding!.remedy).toMatch(/max_packet_size 8392704\n.*to 1995904 bytes/)
})

test('packet size: without a configuration, no model can be too large', () => {
  expect(judgePacketSize({ maximumPacketSize: 10 })).toMatchObject([{ state: 'ok' }])
})

test.each([
  [0, 'fault'],
  [1, 'ok'],
  [undefined, 'ok'],
])('Maximum QoS %s is %s', (maximumQoS, state) => {
  expect(judgeQos(maximumQoS === undefined ? {} : { maximumQoS })).toMatchObject([{ state }])
})

test('an absent property means that a feature is available', () => {
  expect(judgeRetained({})).toMatchObject([{ state: 'ok' }])
  expect(judgeRetained({ retainAvailable: false })).toMatchObject([{ state: 'fault' }])
  expect(judgeWildcards({})).toMatchObject([{ state: 'ok' }])
  expect(judgeWildcards({ wildcardSubscriptionAvailable: false })).toMatchObject([{ state: 'fault' }])
})

test.each([
  [1, 'warning'],
  [9, 'warning'],
  [10, 'ok'],
  [20, 'ok'],
])('Receive Maximum %i: %s', (receiveMaximum, state) => {
  expect(judgeReceiveMaximum({ receiveMaximum })).toMatchObject([{ state }])
})

test.each([
  ['the configured value', {}, 30, 'ok', undefined],
  ['a long configured value', {}, 60, 'warning', /broker\.keepAliveSeconds: 30/],
  [
    'a long value of the broker, which replaces the configured one',
    { serverKeepAlive: 300 },
    30,
    'warning',
    /max_keepalive 30/,
  ],
  [
    'a short value of the broker, which replaces the configured one',
    { serverKeepAlive: 20 },
    300,
    'ok',
    undefined,
  ],
  ['no Keep Alive at all', { serverKeepAlive: 0 }, 30, 'warning', /max_keepalive 30/],
])('Keep Alive: %s', (_name, properties, seconds, state, remedy) => {
  const [finding] = judgeKeepAlive(properties, config(1, 1, seconds))
  expect(finding).toMatchObject({ state })
  if (remedy !== undefined) expect(finding!.remedy).toMatch(remedy)
})
