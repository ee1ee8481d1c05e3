// Tests a session with brokers that lack an optional feature: retained messages, shared subscriptions or wildcards.
import { generate, type IConnackPacket, type IPublishPacket, type Packet } from 'mqtt-packet'
import { afterEach, expect, test } from 'vitest'
import type { OutgoingMessage } from './publish-encoder.ts'
import type { SessionOptions } from './session-options.ts'
import { bytes, startSession, ScriptedBroker, type TestSession } from './testing/scripted-broker.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const WILL: Partial<SessionOptions> = { will: () => ({ topic: 'status', payload: 'offline' }) }
const STATUS: OutgoingMessage = {
  topic: 'status',
  payload: Buffer.from('online'),
  qos: 1,
  retain: true,
  properties: {},
}

interface Features {
  readonly connack?: IConnackPacket['properties']
  /** Refuses a retained Will, as required by MQTT-3.2.2-13. */
  readonly refusesWill?: boolean
  /** Ends the connection when it receives a retained PUBLISH. */
  readonly refusesPublish?: boolean
}

const packet = (given: Packet): Buffer => generate(given, { protocolVersion: 5 })

async function arrange(
  features: Features,
  options: Partial<SessionOptions> = {},
): Promise<TestSession & { readonly broker: ScriptedBroker }> {
  const broker = new ScriptedBroker(5, (read) => {
    if (read.cmd === 'connect') {
      const isRefused = features.refusesWill === true && read.will?.retain === true
      const properties = features.connack ?? {}
      return isRefused
        ? bytes('20 03 00 9a 00')
        : packet({ cmd: 'connack', sessionPresent: false, reasonCode: 0, properties })
    }
    if (read.cmd === 'subscribe') {
      const granted = read.subscriptions.map(() => 1)
      return packet({ cmd: 'suback', messageId: read.messageId!, granted })
    }
    if (read.cmd !== 'publish') return undefined
    return read.retain && features.refusesPublish === true
      ? bytes('e0 01 9a')
      : packet({ cmd: 'puback', messageId: read.messageId! })
  })
  closing.push(() => broker.stop())
  const testSession = startSession(await broker.start(), { ...WILL, ...options })
  closing.unshift(() => testSession.session.close())
  return Object.assign(testSession, { broker })
}

const publishesOf = (broker: ScriptedBroker): IPublishPacket[] =>
  broker.received.flatMap(({ packet }) => (packet.cmd === 'publish' ? [packet] : []))
const willsOf = (broker: ScriptedBroker): (boolean | undefined)[] =>
  broker.received.flatMap(({ packet }) => (packet.cmd === 'connect' ? [packet.will?.retain] : []))

test('publishes nothing with Retain if the broker sends Retain Available 0, and warns once', async () => {
  const { session, broker, warnings, errors, until } = await arrange({ connack: { retainAvailable: false } })
  expect(await session.publish(STATUS)).toEqual({ kind: 'acknowledged', reasonCode: 0 })
  expect(publishesOf(broker).map(({ topic, retain }) => [topic, retain])).toEqual([['status', false]])
  broker.cut()
  await until(() => errors.length === 1)
  expect(await session.publish(STATUS)).toMatchObject({ kind: 'acknowledged' })
  // The second CONNECT has a Will without Retain.
  expect(willsOf(broker)).toEqual([true, false])
  expect(publishesOf(broker).map(({ retain }) => retain)).toEqual([false, false])
  expect(warnings).toEqual([
    {
      event: 'retain_unavailable',
      message: expect.stringMatching(/does not support retained messages.*cards/) as string,
    },
  ])
})

test('if the broker refused a retained Will, reconnects at once with a Will without Retain', async () => {
  const { session, broker, errors, warnings, until } = await arrange(
    { connack: { retainAvailable: false }, refusesWill: true },
    { reconnect: { minMs: 60_000, maxMs: 60_000 }, random: () => 1 },
  )
  expect(await session.publish(STATUS)).toMatchObject({ kind: 'acknowledged' })
  expect(willsOf(broker)).toEqual([true, false])
  expect(errors.map(({ message }) => message)).toEqual([
    expect.stringContaining('refused the connection (retain not supported, 0x9a)'),
  ])
  await until(() => warnings.length > 0)
  expect(warnings.map(({ event }) => event)).toEqual(['retain_unavailable'])
})

test('sends no more retained messages after a retained message made the broker end the connection', async () => {
  const { session, broker, errors, warnings, until } = await arrange({ refusesPublish: true })
  expect(await session.publish(STATUS)).toMatchObject({ kind: 'acknowledged' })
  expect(publishesOf(broker).map(({ retain }) => retain)).toEqual([true, false])
  expect(errors.map(({ message }) => message)).toEqual([
    expect.stringContaining('ended the connection (retain not supported, 0x9a)'),
  ])
  await until(() => warnings.length > 0)
  expect(warnings.map(({ event }) => event)).toEqual(['retain_unavailable'])
})

test.each([4, 5] as const)(
  'with MQTT version %i, subscribes to the retained statuses again on each connection, with QoS 0',
  async (protocolVersion) => {
    const encoded = (given: Packet): Buffer => generate(given, { protocolVersion })
    const broker = new ScriptedBroker(protocolVersion, (read, connection) => {
      if (read.cmd === 'connect')
        return encoded({ cmd: 'connack', sessionPresent: connection > 1, reasonCode: 0, returnCode: 0 })
      if (read.cmd !== 'subscribe') return undefined
      const granted = read.subscriptions.map(({ qos }) => qos)
      return encoded({ cmd: 'suback', messageId: read.messageId!, granted })
    })
    closing.push(() => broker.stop())
    const options = {
      protocolVersion,
      filters: ['a'],
      ownFilters: ['status/+'],
      retainedFilters: ['status/+'],
    }
    const testSession = startSession(await broker.start(), options)
    closing.unshift(() => testSession.session.close())
    await testSession.until(() => testSession.timesReady === 1)
    broker.cut()
    await testSession.until(() => testSession.timesReady === 2)
    const asked = broker.received.flatMap(({ connection, packet }) =>
      packet.cmd === 'subscribe'
        ? packet.subscriptions.map(({ topic, qos, rh }) => [connection, topic, qos, rh ?? 0])
        : [],
    )
    const requests = protocolVersion === 5 ? 2 : 0
    expect(asked).toEqual([
      [1, 'a', 1, requests],
      [1, 'status/+', 0, 0],
      [2, 'status/+', 0, 0],
    ])
  },
)

test('sends retained messages without a warning if the broker supports them', async () => {
  const { session, broker, warnings } = await arrange({})
  await session.publish(STATUS)
  expect([willsOf(broker), publishesOf(broker).map(({ retain }) => retain)]).toEqual([[true], [true]])
  expect(warnings).toEqual([])
})

test.each([[{ filters: ['a'] }], [{ filters: ['a'], will: undefined }]])(
  'does not connect to a broker without shared subscriptions if a share name is set, and reports why (options: %o)',
  async (options) => {
    const testSession = await arrange({ connack: { sharedSubscriptionAvailable: false } }, {
      share: 'g',
      ...options,
    } as Partial<SessionOptions>)
    const { broker, errors } = testSession
    await testSession.until(() => errors.length === 3)
    expect([testSession.session.isReady, testSession.timesReady]).toEqual([false, 0])
    expect(errors[0]!.message).toBe(
      "The broker does not support the connector's subscriptions (shared subscriptions not supported, 0x9e). Remove broker.share and run one connector, or use a broker that supports shared subscriptions.",
    )
    expect(broker.received.every(({ packet }) => packet.cmd === 'connect')).toBe(true)
  },
)

test('connects to a broker without shared subscriptions if no share name is set', async () => {
  const testSession = await arrange({ connack: { sharedSubscriptionAvailable: false } })
  await testSession.until(() => testSession.timesReady === 1)
})

test('does not connect with wildcard filters to a broker without wildcard support, and reports why', async () => {
  const { errors, until, session } = await arrange(
    { connack: { wildcardSubscriptionAvailable: false } },
    { filters: ['infer/request/+/iris'] },
  )
  await until(() => errors.length === 1)
  expect(session.isReady).toBe(false)
  expect(errors[0]!.message).toContain('wildcard subscriptions not supported, 0xa2')
})

test('warns once if the broker lowers the session expiry', async () => {
  const testSession = await arrange({ connack: { sessionExpiryInterval: 60 } })
  await testSession.until(() => testSession.timesReady === 1)
  testSession.broker.cut()
  await testSession.until(() => testSession.timesReady === 2)
  expect(testSession.warnings.map(({ event }) => event)).toEqual(['session_expiry_lowered'])
  expect(testSession.warnings[0]!.message).toMatch(
    /for 60 s, not for the 300 s of broker\.sessionExpirySeconds/,
  )
})

test('pauses after a takeover even if the broker keeps no session', async () => {
  const noSession = packet({
    cmd: 'connack',
    sessionPresent: false,
    reasonCode: 0,
    properties: { sessionExpiryInterval: 0 },
  })
  const takenOver = bytes('e0 01 8e')
  const broker = new ScriptedBroker(5, ({ cmd }) => (cmd === 'connect' ? noSession : takenOver))
  closing.push(() => broker.stop())
  const testSession = startSession(await broker.start())
  closing.unshift(() => testSession.session.close())
  await testSession.until(() => testSession.errors.length === 1)
  expect(testSession.pauses).toEqual([30_000])
})
