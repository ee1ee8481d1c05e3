// Tests that the raw client misses no reply when its connection is lost, and recognizes the parts of an answer.
import { expect, onTestFinished, test } from 'vitest'
import { TestClient } from '../fixtures/mqtt-client.ts'
import { startMosquitto } from '../fixtures/mosquitto.ts'
import { Proxy } from './proxy.ts'
import { RawClient, type RawReply } from './raw-client.ts'

async function startDevice(port: number): Promise<{ client: RawClient; replies: RawReply[] }> {
  const replies: RawReply[] = []
  const listener = {
    replied: (reply: RawReply) => replies.push(reply),
    acknowledged: () => {},
    abandoned: () => {},
  }
  const client = new RawClient({ port, name: 'device' }, listener)
  onTestFinished(() => client.close())
  await client.start()
  return { client, replies }
}

test('the raw client receives its replies after its first connection ended between CONNACK and SUBSCRIBE', async () => {
  const broker = await startMosquitto()
  let isFirst = true
  const network: Proxy = await Proxy.start(broker.port, {
    witness: () => ({
      fromClient: () => {},
      // The broker's first bytes are the CONNACK: the session now exists, and the reset prevents the SUBSCRIBE.
      fromServer: () => {
        if (isFirst) network.reset()
        isFirst = false
      },
    }),
  })
  onTestFinished(() => network.close())
  const { client, replies } = await startDevice(network.port)
  const connector = await TestClient.connect(broker.url)
  onTestFinished(() => connector.close())
  await connector.publish('infer/reply/device/iris/predict', '{"predictions":[1]}')
  await expect.poll(() => replies.map(({ payload }) => payload)).toEqual(['{"predictions":[1]}'])
  expect(client.connections).toBe(2)
})

test('the raw client distinguishes the parts of an answer from a single-message answer', async () => {
  const broker = await startMosquitto()
  const { replies } = await startDevice(broker.port)
  const connector = await TestClient.connect(broker.url)
  onTestFinished(() => connector.close())
  const topic = 'infer/reply/device/chat/chat'
  await connector.publish(topic, 'one')
  await connector.publish(topic, 'a', { userProperties: { seq: '0' } })
  await connector.publish(topic, 'b', { userProperties: { seq: '1', final: 'true', status: '200' } })
  await connector.publish(topic, 'c', { userProperties: { seq: '01' } })
  await expect.poll(() => replies.length).toBe(4)
  expect(replies.map(({ mark }) => mark)).toEqual([
    undefined,
    { seq: 0, isFinal: false, isError: false },
    { seq: 1, isFinal: true, isError: false },
    { seq: NaN, isFinal: false, isError: false },
  ])
})
