// Tests streams whose client is gone or does not read: the connector neither waits for this client nor keeps its parts,
// and serves the other clients.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect, type InferwireError } from '@inferwire/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startKserveOpenai } from './fixtures/kserve-openai.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient, type Received } from './fixtures/mqtt-client.ts'
import { ConnectorProcess } from './rig/connector-process.ts'
import { Proxy } from './rig/proxy.ts'
import { chunk } from './rig/stream-model-server.ts'

const PART_BYTES = 16 * 1024
const PARTS_PER_SECOND = 2_000
const BUFFERED_BYTES_MAX = 1024 * 1024
// The parts that the client does not read have 197 MB in total.
const UNREAD_PARTS = 12_000
const GROWTH_MAX_MB = 100
const HELD_BYTES_MAX = 16 * 1024 * 1024

let broker: Mosquitto
let kserve: Awaited<ReturnType<typeof startKserveOpenai>>
let fast: FastModel
let connector: ConnectorProcess
let client: TestClient

beforeAll(async () => {
  ;[broker, kserve, fast] = await Promise.all([
    // The broker drops the messages that this queue for a client cannot hold.
    startMosquitto({ config: ['max_inflight_messages 50', 'max_queued_messages 100'] }),
    startKserveOpenai(),
    startFastModel(),
  ])
  connector = await ConnectorProcess.create({
    name: 'streams',
    broker: { url: broker.url },
    models: {
      words: { url: `${kserve.url}/openai`, protocolVersion: 'openai' },
      fast: { url: fast.url, protocolVersion: 'openai' },
    },
  })
  await connector.startReady()
  client = await TestClient.connect(broker.url)
  await client.subscribe('infer/reply/cam7/#')
}, 240_000)

afterAll(async () => {
  await client.close()
  await connector.end('SIGTERM')
  await Promise.all([kserve.stop(), fast.stop()])
  await broker.stop()
})

const chat = (more: object = {}): string =>
  JSON.stringify({ messages: [{ role: 'user', content: 'a b c' }], ...more })

async function expectServed(): Promise<void> {
  const whole = await client.ask('infer/request/cam7/words/chat', chat())
  expect(whole.user['status'], whole.payload.toString()).toBe('200')
}

async function expectNothingHeld(): Promise<void> {
  const gauges = [
    'inferwire_inflight_requests',
    'inferwire_unacknowledged_requests',
    'inferwire_unacknowledged_replies',
    'inferwire_inflight_bytes',
  ]
  const values = (): Promise<number[]> => Promise.all(gauges.map((name) => connector.metric(name)))
  await expect.poll(values, { timeout: 10_000 }).toEqual([0, 0, 0, 0])
}

test.each([
  // The broker reports that a reply has no subscriber only if it keeps no session for the client.
  { user: 'gone', isPersistent: false, unseen: 1 },
  { user: 'kept', isPersistent: true, unseen: 0 },
])(
  'the stream of a client that vanishes for good ends when the model has finished (%j)',
  async ({ user: name, isPersistent, unseen }) => {
    const unseenReplies = (): Promise<number> =>
      connector.metric('inferwire_replies_without_subscriber_total')
    const tokens = (): Promise<number> => connector.metric('inferwire_tokens_total', 'kind="completion"')
    const [unseenBefore, tokensBefore] = [await unseenReplies(), await tokens()]
    const vanishing = await TestClient.connect(broker.url, { isPersistent })
    await vanishing.subscribe(`infer/reply/${name}/#`)
    const streamed = { stream: true, stream_options: { include_usage: true } }
    const body = chat({ ...streamed, user: name, delay_ms: 20, max_tokens: 100 })
    await vanishing.publish(`infer/request/${name}/words/chat/1`, body)
    await vanishing.wait(({ user }: Received) => user['seq'] === '1', 'second part')
    vanishing.mqtt.stream.destroy()
    await vanishing.close()

    await expectServed()
    const running = (): Promise<number> => connector.metric('inferwire_upstream_inflight_requests')
    await expect.poll(running, { interval: 5 }).toBe(1)
    // The last chunk contains the number of tokens, so the model has generated all of them.
    await expect.poll(tokens, { timeout: 20_000 }).toBe(tokensBefore + 3 + 100)
    expect(kserve.log()).not.toContain(`cancelled ${name} `)
    await expectNothingHeld()
    expect(await unseenReplies()).toBe(unseenBefore + unseen)
    expect(await connector.metric('inferwire_requests_total', 'code="stream_interrupted"')).toBe(0)
  },
)

test('a client that stops reading a fast stream misses parts, and its SDK ends the stream with stream_interrupted', async () => {
  const proxy = await Proxy.start(broker.port)
  const slow = await connect(`mqtt://127.0.0.1:${proxy.port}`)
  try {
    const stream = slow.chat('fast', [{ role: 'user', content: 'a' }], { stream: true })
    await stream.next()
    connector.resetPeak()
    const { peakMb: peakBeforeMb } = connector.memory()
    proxy.set('down', { isFrozen: true })
    const end = fast.parts() + UNREAD_PARTS
    while (fast.parts() < end) {
      await expectServed()
      expect(await connector.metric('inferwire_inflight_bytes')).toBeLessThan(HELD_BYTES_MAX)
    }
    expect(connector.memory().peakMb - peakBeforeMb).toBeLessThan(GROWTH_MAX_MB)
    proxy.calm()

    let count = 1
    const error = await (async () => {
      while ((await stream.next()).done !== true) count += 1
    })().catch((reason: unknown) => reason as InferwireError)
    expect(error).toMatchObject({ code: 'stream_interrupted', retryable: true })
    expect(error!.message).toContain(`has a gap: part ${count} is missing, but `)
    // The SDK's cancel message stops the model.
    await expect.poll(() => fast.streams(), { timeout: 10_000 }).toBe(0)
    await expectNothingHeld()
  } finally {
    await slow.close()
    await proxy.close()
  }
})

interface FastModel {
  readonly url: string
  /** Number of parts that were sent. */
  readonly parts: () => number
  /** Number of streams that have not ended. */
  readonly streams: () => number
  stop(): Promise<void>
}

/** Starts a model whose streams end only when their connection is closed. */
async function startFastModel(): Promise<FastModel> {
  const event = `data: ${chunk('x'.repeat(PART_BYTES))}\n\n`
  let parts = 0
  let streams = 0
  const server = createServer((request, response) => {
    if (request.method !== 'POST') return void response.writeHead(404).end()
    request.resume()
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    streams += 1
    const beganMs = performance.now()
    let sent = 0
    const timer = setInterval(() => {
      const due = ((performance.now() - beganMs) / 1_000) * PARTS_PER_SECOND
      for (; sent < due && response.writableLength < BUFFERED_BYTES_MAX; sent++) {
        response.write(event)
        parts += 1
      }
    }, 5)
    response.on('close', () => {
      clearInterval(timer)
      streams -= 1
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    parts: () => parts,
    streams: () => streams,
    stop: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
