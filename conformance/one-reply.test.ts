// A restarted broker redelivers the requests in flight: each request still receives one reply.
import { expect, test } from 'vitest'
import { runConnector } from './fixtures/connector.ts'
import { startMosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { Gate, predictBody } from './rig/answers.ts'
import { FakeModelServer } from './rig/model-server.ts'

test('100 requests in flight receive one reply each when the broker restarts', async () => {
  const broker = await startMosquitto()
  const gate = new Gate()
  const upstream = await FakeModelServer.start({ answer: gate.hold(predictBody, 'held') })
  const { connector } = await runConnector({
    broker: { url: broker.url },
    models: { held: { url: upstream.url, protocolVersion: 'v1', limits: { concurrency: 100 } } },
  })
  const client = await TestClient.connect(broker.url, { isPersistent: true })
  await client.subscribe('infer/reply/plc/#')
  const ids = Array.from({ length: 100 }, (_, index) => String(index))
  for (const id of ids) await client.publish(`infer/request/plc/held/predict/${id}`, `{"instances":[${id}]}`)
  await expect.poll(() => gate.open).toBe(100)
  await broker.stop('SIGTERM')
  // Half of the answers arrive while there is no connection, half after the requests were redelivered.
  gate.release(50)
  await expect.poll(() => gate.open).toBe(50)
  await broker.start()
  await expect.poll(() => client.received.length, { timeout: 15_000 }).toBe(50)
  gate.release()
  await expect.poll(() => client.received.length, { timeout: 15_000 }).toBe(100)
  // After the drain no further reply can arrive.
  await connector.stop()
  const byTopic = client.received.map(({ topic }) => topic)
  expect(new Set(byTopic).size).toBe(100)
  expect(byTopic).toHaveLength(100)
  expect(upstream.calls('held')).toBe(100)
  await client.close()
  await upstream.stop()
  await broker.stop()
})

test('a connector that drains during a broker outage answers each request once, and leaves no request to the next process', async () => {
  const broker = await startMosquitto()
  const gate = new Gate()
  const upstream = await FakeModelServer.start({ answer: gate.hold(predictBody, 'held') })
  const config = {
    name: 'drained',
    broker: { url: broker.url },
    drain: { timeoutMs: 20_000 },
    models: { held: { url: upstream.url, protocolVersion: 'v1' as const, limits: { concurrency: 20 } } },
  }
  const { connector } = await runConnector(config)
  const client = await TestClient.connect(broker.url, { isPersistent: true })
  await client.subscribe('infer/reply/plc/#')
  for (let id = 0; id < 20; id += 1) {
    await client.publish(`infer/request/plc/held/predict/${id}`, `{"instances":[${id}]}`)
  }
  await expect.poll(() => gate.open).toBe(20)
  await broker.stop('SIGTERM')
  const stopped = connector.stop()
  await broker.start()
  gate.release()
  expect(await stopped).toBe(true)
  const next = await runConnector(config)
  await client.publish('infer/request/plc/next/predict/1', '{"instances":[1]}')
  await client.wait(({ topic }) => topic === 'infer/reply/plc/next/predict/1')
  const topics = client.received.map(({ topic }) => topic).filter((topic) => topic.includes('/held/'))
  expect([topics.length, new Set(topics).size, upstream.calls('held')]).toEqual([20, 20, 20])
  await next.connector.stop()
  await client.close()
  await upstream.stop()
  await broker.stop()
}, 40_000)
