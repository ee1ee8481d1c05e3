// Tests the PUBACKs of requests that arrive after a slow request. Brokers handle the order of PUBACKs differently, so
// the tests use a stand-in for each kind of broker, and a real Mosquitto. The tests run only the session, or the
// whole connector where duplicate detection matters.
import { afterEach, describe, expect, test } from 'vitest'
import { runConnector } from './fixtures/connector.ts'
import { Application, REQUEST_TOPIC, type SessionOptions } from './fixtures/application.ts'
import { startMosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { OrderingBroker, type OrderingBrokerOptions } from './fixtures/ordering-broker.ts'
import { FakeModelServer } from './rig/model-server.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

async function arrange(options: OrderingBrokerOptions, session: Partial<SessionOptions> = {}) {
  const broker = await OrderingBroker.start(options)
  const application = new Application(broker.url, ['slow'], session)
  return {
    broker,
    application,
    close: async () => {
      await application.session.close()
      await broker.stop()
    },
  }
}

const OTHERS = Array.from({ length: 40 }, (_, index) => `fast${index}`)

test('a slow request does not delay others on a broker that accepts PUBACKs in any order', async () => {
  const { broker, application, close } = await arrange({ mode: 'each', window: 10 })
  closers.push(close)
  broker.publish('slow')
  broker.publishMany('fast', 40)
  await broker.until(() => broker.held === 1, 'all but the slow one are acknowledged')
  broker.cut()
  await broker.until(() => broker.connections === 2 && broker.sent.at(-1)!.dup, 'it is redelivered')
  expect(broker.sent.filter(({ connection }) => connection === 2).map(({ key }) => key)).toEqual(['slow'])
  application.release()
  // release() settles both deliveries of "slow". Settling the first delivery has no effect on the new connection.
  await broker.until(() => broker.held === 0, 'everything is acknowledged')
  expect(application.taken).toEqual(['slow', ...OTHERS, 'slow'])
  expect(application.warnings).toEqual([])
})

test('a broker that disconnects after an out-of-order PUBACK receives all further PUBACKs in order', async () => {
  const { broker, application, close } = await arrange({ mode: 'hangs up', window: 16 })
  closers.push(close)
  broker.publish('slow')
  broker.publishMany('fast', 40)
  await broker.until(
    () => broker.sent.filter(({ connection }) => connection === 2).length >= 16,
    'redelivery',
  )
  application.release()
  await broker.until(() => broker.held === 0, 'everything is acknowledged')
  expect(new Set(application.taken)).toEqual(new Set(['slow', ...OTHERS]))
  expect(broker.connections).toBe(2)
  expect([...broker.overtaking]).toEqual([[1, 1]])
  expect(application.warnings).toEqual(['ack_order_strict'])
})

test('a broker that delivers in batches continues after each batch, and is not treated as faulty', async () => {
  const { broker, application, close } = await arrange({ mode: 'by batch', window: 10 })
  closers.push(close)
  broker.publishMany('fast', 3)
  broker.publish('slow')
  broker.publishMany('more', 30)
  await broker.until(() => broker.overtaking.size > 0, 'the slow one is overtaken')
  application.release()
  await broker.until(() => broker.held === 0, 'everything is acknowledged')
  expect(application.taken).toHaveLength(34)
  expect([broker.connections, application.warnings]).toEqual([1, []])
})

test('a message that the broker resends on the same connection is delivered to the application only once', async () => {
  const { broker, application, close } = await arrange({ mode: 'each' }, { ackOrder: 'strict' })
  closers.push(close)
  broker.publish('slow')
  broker.publishMany('fast', 5)
  await broker.until(() => broker.sent.length === 6, 'all are delivered')
  broker.resend()
  broker.publish('last')
  await application.took('last')
  application.release()
  await broker.until(() => broker.held === 0, 'everything is acknowledged')
  expect(application.taken).toEqual(['slow', 'fast0', 'fast1', 'fast2', 'fast3', 'fast4', 'last'])
})

describe('a broker that reuses Packet Identifiers in flight', () => {
  const identifiers = { count: 63, distanceMax: 32 }

  test('stops receiving PUBACKs before it can reuse the identifier of a request outside safekeeping', async () => {
    const { broker, application, close } = await arrange({ mode: 'each', identifiers: 63 }, { identifiers })
    closers.push(close)
    broker.publish('slow')
    broker.publishMany('fast', 40)
    broker.publishMany('more', 200)
    await application.warned
    const isFull = (): boolean => broker.sent.length > 32 && broker.held === 241 - 31
    await broker.until(isFull, 'the broker is out of window')
    expect(broker.receiveMaximum).toBe(31)
    application.release()
    await broker.until(() => broker.held === 0, 'everything is acknowledged')
    expect(application.taken).toHaveLength(241)
    expect([broker.reused, application.warnings]).toEqual([0, ['intake_held_back']])
  })

  test('stops receiving PUBACKs before it can reuse an identifier, even after a reconnect', async () => {
    const { broker, application, close } = await arrange({ mode: 'each', identifiers: 63 }, { identifiers })
    closers.push(close)
    broker.publish('slow')
    broker.publishMany('fast', 25)
    await broker.until(() => broker.held === 1, 'all but the slow one are acknowledged')
    broker.cut()
    broker.publishMany('more', 200)
    await application.warned
    application.release()
    await broker.until(() => broker.held === 0, 'everything is acknowledged')
    expect(new Set(application.taken).size).toBe(226)
    expect([broker.reused, application.warnings]).toEqual([0, ['intake_held_back']])
  })

  test('continues when the request is put in safekeeping; the answer ends the safekeeping', async () => {
    const kept: string[] = []
    const settled: string[] = []
    const { broker, application, close } = await arrange(
      { mode: 'each', identifiers: 63 },
      {
        identifiers,
        keeper: ({ properties }) => {
          const key = properties.correlationData!.toString()
          kept.push(key)
          return () => void settled.push(key)
        },
      },
    )
    closers.push(close)
    broker.publish('slow')
    broker.publishMany('fast', 200)
    await broker.until(() => broker.held === 0, 'everything is acknowledged')
    expect([kept, settled]).toEqual([['slow'], []])
    broker.cut()
    await broker.until(() => broker.connections === 2, 'it connects again')
    application.release()
    expect(settled).toEqual(['slow'])
    expect([application.taken.length, application.warnings]).toEqual([201, []])
  })

  test('loses neither of two messages with the same identifier', async () => {
    // The stand-in ignores the Receive Maximum, because MQTT 3.1.1 brokers do not receive one.
    const { broker, application, close } = await arrange({ mode: 'each', identifiers: 63, window: 10_000 })
    closers.push(close)
    broker.publish('slow')
    broker.publishMany('fast', 200)
    await broker.until(
      () => broker.sent.length === 201 && broker.held <= 4,
      'all but the two messages with one identifier are acknowledged',
    )
    broker.cut()
    const again = (): string[] =>
      broker.sent.filter(({ connection }) => connection === 2).map(({ key }) => key)
    await broker.until(() => again().length > 0, 'unacknowledged messages are redelivered')
    expect(again()[0]).toBe('slow')
    application.release()
    await broker.until(() => broker.held === 0, 'everything is acknowledged')
    expect(new Set(application.taken).size).toBe(201)
    expect(broker.reused).toBeGreaterThan(0)
  })
})

// These tests wait for 5 s of silence, so they run concurrently.
describe.concurrent('a broker that falls silent', () => {
  test('is detected if it ignores out-of-order PUBACKs, and then receives all PUBACKs in order', async ({
    expect,
  }) => {
    const { broker, application, close } = await arrange({ mode: 'drops', window: 32 })
    await broker.until(() => broker.connections === 1, 'it connects')
    broker.publish('slow')
    broker.publishMany('fast', 40)
    await broker.until(() => broker.connections === 2, 'it connects again')
    await application.warned
    application.release()
    await broker.until(() => broker.held === 0, 'everything is acknowledged')
    expect(new Set(application.taken)).toEqual(new Set(['slow', ...OTHERS]))
    // PUBACKs were out of order only on the first connection. On the second connection, PUBACKs are sent in order,
    // even while another slow request is open.
    expect([...broker.overtaking.keys()]).toEqual([1])
    expect([broker.connections, application.warnings]).toEqual([2, ['ack_order_strict']])
    await close()
  })

  test.each<[string, OrderingBrokerOptions]>([
    [
      'its window advances only from the oldest message',
      { mode: 'from the head', window: 16, hidesRedelivery: true },
    ],
    ['its batch is not complete', { mode: 'by batch', window: 16 }],
    ['it has nothing to deliver, and numbers redelivered messages afresh', { mode: 'each', renumbers: true }],
  ])('is tested only once and is not treated as faulty if %s', async (_what, options) => {
    const { broker, application, close } = await arrange(options)
    await broker.until(() => broker.connections === 1, 'it connects')
    broker.publish('slow')
    broker.publishMany('fast', 15)
    await broker.until(() => broker.connections === 2, 'it connects again')
    application.release()
    broker.publishMany('more', 40)
    await broker.until(() => broker.held === 0, 'everything is acknowledged')
    expect(new Set(application.taken).size).toBe(56)
    expect([broker.connections, application.warnings]).toEqual([2, []])
    await close()
  })

  test('causes one warning, and the model is not called again', async ({ expect }) => {
    const broker = await OrderingBroker.start({ mode: 'drops', window: 32 })
    const upstream = await FakeModelServer.start()
    const { connector, log } = await runConnector({
      broker: { url: broker.url, ackHoldMaxMs: 50 },
      models: {
        'slow-14000': { url: upstream.url, protocolVersion: 'v1' },
        fast: { url: upstream.url, protocolVersion: 'v1' },
      },
    })
    broker.publish('slow', 'infer/request/c/slow-14000/predict')
    broker.publishMany('fast', 60, 'infer/request/c/fast/predict')
    await broker.until(() => broker.held === 0, 'everything is acknowledged')
    expect(upstream.calls('fast')).toBe(60)
    expect(upstream.calls('slow-14000')).toBe(1)
    expect(broker.replies.size).toBe(61)
    expect(log.filter((line) => line.includes('"ack_order_strict"'))).toHaveLength(1)
    expect(log.join('')).toContain(broker.url)
    const metrics = await (await fetch(`${connector.adminUrl}/metrics`)).text()
    expect(metrics).toContain('inferwire_mqtt_ack_order_strict 1')
    await connector.stop()
    await upstream.stop()
    await broker.stop()
  })
})

test('Mosquitto redelivers only the slow request after a reconnect', async () => {
  const mosquitto = await startMosquitto()
  closers.push(() => mosquitto.stop())
  const clientId = `ack-order-${process.pid}`
  const first = new Application(mosquitto.url, ['slow'], { clientId })
  await first.ready
  const client = await TestClient.connect(mosquitto.url)
  closers.push(() => client.close())
  const publish = (key: string): Promise<number> =>
    client.publish(REQUEST_TOPIC, '{}', { correlationData: Buffer.from(key) })
  await publish('slow')
  await Promise.all(OTHERS.map(publish))
  await expect.poll(() => first.session.unacknowledged, { interval: 5, timeout: 10_000 }).toBe(1)
  await first.session.close()
  const second = new Application(mosquitto.url, [], { clientId })
  closers.push(() => second.session.close())
  await second.ready
  await publish('last')
  await expect.poll(() => second.taken.at(-1), { interval: 5, timeout: 10_000 }).toBe('last')
  expect(second.taken).toEqual(['slow', 'last'])
})
