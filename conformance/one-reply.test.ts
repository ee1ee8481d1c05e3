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
    models: { held: { url: upstream.url, protocol: 'v1', limits: { concurrency: 100 } } },
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
  // A second reply would come at the latest with the acknowledgement of the last one.
  await connector.stop()
  const byTopic = client.received.map(({ topic }) => topic)
  expect(new Set(byTopic).size).toBe(100)
  expect(byTopic).toHaveLength(100)
  expect(upstream.calls.get('held')).toHaveLength(100)
  await client.close()
  await upstream.stop()
  await broker.stop()
})
