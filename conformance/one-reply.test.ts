// A restarted broker redelivers what was under way: each request still gets one reply.
import { expect, test } from 'vitest'
import { runConnector } from './fixtures/connector.ts'
import { startHoldingUpstream } from './fixtures/holding-upstream.ts'
import { startMosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'

test('a broker that restarts while 100 requests run gets one reply for each of them', async () => {
  const broker = await startMosquitto()
  const upstream = await startHoldingUpstream()
  const { connector } = await runConnector({
    broker: { url: broker.url },
    models: { held: { url: upstream.url, protocolVersion: 'v1', limits: { concurrency: 100 } } },
  })
  const client = await TestClient.connect(broker.url, { isPersistent: true })
  await client.subscribe('infer/reply/plc/#')
  const ids = Array.from({ length: 100 }, (_, index) => String(index))
  for (const id of ids) await client.publish(`infer/request/plc/held/predict/${id}`, `{"instances":[${id}]}`)
  await expect.poll(() => upstream.open).toBe(100)
  await broker.stop('SIGTERM')
  // Half of the answers come while there is no connection, half after the requests were redelivered.
  upstream.release(50)
  await expect.poll(() => upstream.open).toBe(50)
  await broker.start()
  await expect.poll(() => client.received.length, { timeout: 15_000 }).toBe(50)
  upstream.release()
  await expect.poll(() => client.received.length, { timeout: 15_000 }).toBe(100)
  // After the drain no further reply can arrive.
  await connector.stop()
  const byTopic = client.received.map(({ topic }) => topic)
  expect(new Set(byTopic).size).toBe(100)
  expect(byTopic).toHaveLength(100)
  expect(upstream.calls.get('held')).toHaveLength(100)
  await client.close()
  await upstream.stop()
  await broker.stop()
})

test('a drain around an outage of the broker answers each request once, and leaves none for the next process', async () => {
  const broker = await startMosquitto()
  const upstream = await startHoldingUpstream()
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
  await expect.poll(() => upstream.open).toBe(20)
  await broker.stop('SIGTERM')
  const stopped = connector.stop()
  await broker.start()
  upstream.release()
  expect(await stopped).toBe(true)
  const next = await runConnector(config)
  await client.publish('infer/request/plc/next/predict/1', '{"instances":[1]}')
  await client.wait(({ topic }) => topic === 'infer/reply/plc/next/predict/1')
  const topics = client.received.map(({ topic }) => topic).filter((topic) => topic.includes('/held/'))
  expect([topics.length, new Set(topics).size, upstream.calls.get('held')?.length]).toEqual([20, 20, 20])
  await next.connector.stop()
  await client.close()
  await upstream.stop()
  await broker.stop()
}, 40_000)
