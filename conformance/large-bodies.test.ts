// Tests on a real Mosquitto that large bodies, whose memory is reused, reach the model server and come back unchanged.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { Random } from './fixtures/random.ts'

const TYPE = 'application/octet-stream'
const CLIENTS = 4
const REQUESTS = 40
// Larger than the socket buffers of both sides, so that the rest waits in the connector.
const EARLY_BYTES = 5_000_000

let broker: Mosquitto
let server: Server
let running: TestConnector
/** Digests of the bodies that the model server received, by the number in the first bytes of the body. */
let received: Map<number, string>
let isEarly: (id: number) => boolean
let isBroken: (id: number) => boolean

beforeAll(async () => {
  broker = await startMosquitto()
  server = createServer((request, response) => {
    if (request.method === 'GET') return response.writeHead(404).end()
    const hash = createHash('sha256')
    let id: number | undefined
    const answer = (text: string): unknown =>
      response.setHeader('content-type', 'application/json').end(`{"predictions":["${text}"]}`)
    request.on('data', (chunk: Buffer) => {
      hash.update(chunk)
      if (id !== undefined) return
      id = chunk.readUInt32BE(0)
      if (isBroken(id) && !received.has(id)) {
        received.set(id, 'broken')
        request.socket.destroy()
        return
      }
      if (!isEarly(id)) return
      answer('early')
      // The rest of the body is read later, when the connector has long had its answer.
      request.pause()
      setTimeout(() => request.resume(), 20)
    })
    request.on('end', () => {
      const digest = hash.digest('hex')
      received.set(id!, digest)
      if (!response.writableEnded) answer(digest)
    })
    request.on('error', () => {})
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
})

afterEach(() => running.connector.stop())

afterAll(async () => {
  server.closeAllConnections()
  server.close()
  await broker.stop()
})

async function exchange(ackOrder: 'strict' | 'bounded' = 'bounded'): Promise<void> {
  received = new Map()
  const { port } = server.address() as AddressInfo
  running = await runConnector({
    broker: { url: broker.url, ackOrder },
    models: {
      echo: {
        url: `http://127.0.0.1:${port}`,
        protocolVersion: 'v1',
        contentTypes: [TYPE],
        repeatable: true,
      },
    },
  })
  const sent = new Map<number, string>()
  const random = new Random(3, 0)
  const sizes = Array.from({ length: CLIENTS * REQUESTS }, (_, id) =>
    isEarly(id) ? EARLY_BYTES : random.between(60_000, 700_000),
  )
  const one = async (client: TestClient, who: number, index: number): Promise<void> => {
    const id = who * REQUESTS + index
    const body = randomBytes(sizes[id]!)
    body.writeUInt32BE(id)
    sent.set(id, createHash('sha256').update(body).digest('hex'))
    const reply = await client.ask(`infer/request/cam${who}/echo/predict/${id}`, body, { contentType: TYPE })
    expect([reply.user['status'], reply.json()]).toEqual([
      '200',
      { predictions: [isEarly(id) ? 'early' : sent.get(id)] },
    ])
  }
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, who) => {
      const client = await TestClient.connect(broker.url)
      await client.subscribe(`infer/reply/cam${who}/#`)
      for (let index = 0; index < REQUESTS; index += 4) {
        await Promise.all([0, 1, 2, 3].map((more) => one(client, who, index + more)))
      }
      await client.close()
    }),
  )
  await expect
    .poll(() => [...received].toSorted(([a], [b]) => a - b))
    .toEqual([...sent].toSorted(([a], [b]) => a - b))
}

test('every body and its answer belong together', async () => {
  isEarly = () => false
  isBroken = () => false
  await exchange()
})

test('a server that answers before it has read the body still receives all of it', async () => {
  isEarly = (id) => id % 8 === 0
  isBroken = () => false
  await exchange('strict')
})

test('a retried body is complete', async () => {
  isEarly = (id) => id % 8 === 0
  // The retry budget allows only few retries.
  isBroken = (id) => id % 40 === 20
  await exchange()
})
