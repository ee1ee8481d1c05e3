// Tests the order in which requests with different priorities run, on a real Mosquitto.
import type { ConfigInput } from '@inferwire/connector'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient, type RequestProperties } from './fixtures/mqtt-client.ts'
import { FakeModelServer } from './rig/model-server.ts'

let broker: Mosquitto
let upstream: FakeModelServer
let client: TestClient
let running: TestConnector

beforeAll(async () => {
  broker = await startMosquitto()
  upstream = await FakeModelServer.start()
  client = await TestClient.connect(broker.url)
  await client.subscribe('infer/reply/#')
})

afterEach(() => running.connector.stop())

afterAll(async () => {
  await client.close()
  await upstream.stop()
  await broker.stop()
})

async function run(policy?: ConfigInput['policy']): Promise<void> {
  const { url } = upstream
  running = await runConnector({
    broker: { url: broker.url },
    models: { 'slow-200': { url, protocolVersion: 'v1', limits: { concurrency: 1 } } },
    ...(policy === undefined ? {} : { policy }),
  })
}

const BODY = '{"instances":[[1]]}'
const priority = (value: string): RequestProperties => ({ userProperties: { priority: value } })

test('requests with a higher priority run first, as far as the policy allows', async () => {
  await run({
    allow: [
      { clients: ['*'], models: ['*'] },
      { clients: ['plc'], models: ['*'], priorityMax: 9 },
    ],
  })
  const order: string[] = []
  const ask = async (who: string, value: string, id: string): Promise<void> => {
    const reply = await client.ask(`infer/request/${who}/slow-200/predict/${id}`, BODY, priority(value))
    expect(reply.user['status']).toBe('200')
    order.push(id)
  }
  const calls = upstream.calls('slow-200')
  const all = [ask('cam7', '4', 'running')]
  await expect.poll(() => upstream.calls('slow-200')).toBe(calls + 1)
  all.push(ask('cam7', '0', 'low'), ask('cam7', '4', 'normal'))
  all.push(ask('cam8', '9', 'capped'), ask('plc', '9', 'high'))
  await Promise.all(all)
  expect(order).toEqual(['running', 'high', 'normal', 'capped', 'low'])
})

test('a priority that is not a digit is rejected', async () => {
  await run()
  const reply = await client.ask('infer/request/cam7/slow-200/predict', BODY, priority('high'))
  expect(reply.user).toMatchObject({ status: '400', code: 'bad_payload' })
})
