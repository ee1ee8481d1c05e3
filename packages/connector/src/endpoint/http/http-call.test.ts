// Tests what happens to the connections of calls that end early, with a real server and with one that never completes
// the TLS handshake.
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import {
  connect,
  createServer as createTcpServer,
  type AddressInfo,
  type Server,
  type Socket,
} from 'node:net'
import { Problem } from '@inferwire/protocol'
import { afterEach, expect, test } from 'vitest'
import type { Deadline } from '../../step.ts'
import { callHttp } from './http-call.ts'
import type { HttpPool } from './http-pool.ts'
import { openPool } from './open-pool.ts'

const EXPIRED = new Problem('deadline_exceeded', 'too late')
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

interface Listening {
  readonly url: string
  readonly port: number
  /** All connections in the order in which they were made. */
  readonly sockets: Socket[]
}

async function listen(server: Server, scheme = 'http'): Promise<Listening> {
  const sockets: Socket[] = []
  server.on('connection', (socket: Socket) => sockets.push(socket.on('error', () => undefined)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `${scheme}://127.0.0.1:${port}`, port, sockets }
}

function open(url: string, callsMax = 100): HttpPool {
  const pool = openPool({ url, tls: { insecureSkipVerify: true }, callsMax })
  closing.push(() => pool.destroy())
  return pool
}

interface Call {
  readonly end: Promise<unknown>
  /** Makes the deadline expire now. */
  expire(): void
}

function call(pool: HttpPool): Call {
  const deadline: Deadline = { atMs: Infinity, problem: undefined, waiting: undefined }
  const end = callHttp(
    pool,
    {
      method: 'POST',
      path: '/',
      headers: [],
      body: Buffer.from('{}'),
      responseBytesMax: 1_000,
      deadline,
      address: 'POST x',
    },
    ({ status }) => status,
  ).then(
    (status) => status,
    (error: unknown) => error,
  )
  return { end, expire: () => deadline.waiting?.(EXPIRED) }
}

const answering = (answer: (response: ServerResponse) => void): Server =>
  createServer((request, response) => void request.resume().on('end', () => answer(response)))

test('a call that ends before its connection is open is never sent; the next call uses that connection', async () => {
  let requests = 0
  const server = await listen(answering((response) => response.end(String((requests += 1)))))
  const pool = open(server.url)
  const connected = once(pool, 'connect')
  const early = call(pool)
  early.expire()
  expect(await early.end).toBe(EXPIRED)
  await connected
  expect(await call(pool).end).toBe(200)
  expect([server.sockets.length, requests, pool.callsHeld]).toEqual([1, 1, 0])
})

test('a call that ends in flight closes its connection and does not reconnect', async () => {
  let isReached: () => void
  const reached = new Promise<void>((resolve) => (isReached = resolve))
  const server = await listen(answering(() => isReached()))
  const pool = open(server.url)
  const running = call(pool)
  await reached
  const gone = once(server.sockets[0]!, 'close')
  running.expire()
  expect(await running.end).toBe(EXPIRED)
  await gone
  // Connections are accepted in order, so when this one is visible, any earlier connection would be visible too.
  const marker = connect(server.port, '127.0.0.1')
  closing.push(() => marker.destroy())
  await once(marker, 'connect')
  await expect.poll(() => server.sockets.at(-1)?.remotePort).toBe(marker.localPort)
  expect([server.sockets.length, pool.callsHeld]).toEqual([2, 0])
})

test('calls that end together can be replaced at once by the same number of new calls', async () => {
  let isQuiet = true
  const held: ServerResponse[] = []
  const server = await listen(answering((response) => (isQuiet ? held.push(response) : response.end('1'))))
  const pool = open(server.url, 8)
  const first = Array.from({ length: 8 }, () => call(pool))
  await expect.poll(() => held.length).toBe(8)
  isQuiet = false
  for (const each of first) each.expire()
  const next = Array.from({ length: 8 }, () => call(pool))
  expect(new Set(await Promise.all(first.map(({ end }) => end)))).toEqual(new Set([EXPIRED]))
  expect(new Set(await Promise.all(next.map(({ end }) => end)))).toEqual(new Set([200]))
  expect(pool.callsHeld).toBe(0)
})

test.each([
  ['after it has read the body', true],
  ['before it has read the body', false],
])('reports whether the body was sent if the server answers %s', async (_, isRead) => {
  const server = await listen(
    createServer((request, response) => {
      if (isRead) request.resume().on('end', () => response.end('{}'))
      else response.end('{}')
    }),
  )
  const deadline: Deadline = { atMs: Infinity, problem: undefined, waiting: undefined }
  const isBodySent = await callHttp(
    open(server.url),
    {
      method: 'POST',
      path: '/',
      headers: [],
      // Larger than the buffers of both sockets, so that the rest waits in the process.
      body: Buffer.alloc(64 << 20),
      responseBytesMax: 1_000,
      deadline,
      address: 'POST x',
    },
    (answer) => answer.isBodySent,
  )
  expect(isBodySent).toBe(isRead)
})

test('a call after a 500 uses another connection, because uvicorn closes the first one unannounced', async () => {
  const statuses = [500, 404, 200]
  const used: (Socket | null)[] = []
  const server = await listen(
    answering((response) => {
      used.push(response.socket)
      response.writeHead(statuses[used.length - 1]!, { 'content-length': '0' }).end()
    }),
  )
  const pool = open(server.url)
  for (const status of statuses) {
    expect(await call(pool).end).toBe(status)
    // A connection is available again in the next turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve))
  }
  const [first, second, third] = used
  expect(second).not.toBe(first)
  expect(third).toBe(second)
  expect(first!.destroyed).toBe(true)
})

test('short deadlines open a limited number of sockets to a server that never completes the handshake', async () => {
  const dead = await listen(createTcpServer(), 'https')
  const pool = open(dead.url, 3)
  for (let index = 0; index < 3; index += 1) {
    const each = call(pool)
    each.expire()
    expect(await each.end).toBe(EXPIRED)
  }
  for (let index = 0; index < 50; index += 1) {
    const refused = await call(pool).end
    expect(refused).toMatchObject({ code: 'upstream_unreachable', retryable: true })
    expect((refused as Problem).detail).toContain('3 calls are in flight or waiting for a connection')
  }
  await expect.poll(() => dead.sockets.length).toBe(3)
  // When these connection attempts end, new calls are admitted.
  for (const socket of dead.sockets) socket.destroy()
  await expect.poll(() => pool.callsHeld).toBe(0)
  const again = call(pool)
  await expect.poll(() => dead.sockets.length).toBe(4)
  dead.sockets[3]!.destroy()
  expect(await again.end).toMatchObject({ code: 'upstream_unreachable' })
})

test('callsHeld counts neither calls to a closed pool nor requests that undici refuses to send', async () => {
  const server = await listen(answering((response) => response.end('1')))
  const pool = open(server.url, 2)
  for (let index = 0; index < 5; index += 1) {
    const deadline: Deadline = { atMs: Infinity, problem: undefined, waiting: undefined }
    const options = {
      method: 'GET',
      path: '/',
      body: null,
      responseBytesMax: 9,
      deadline,
      address: 'x',
    } as const
    const fault = await callHttp(pool, { ...options, headers: ['x-a', '\0'] }, () => {}).catch(
      (error: unknown) => error,
    )
    expect(fault).toMatchObject({ code: 'internal' })
  }
  expect(await call(pool).end).toBe(200)
  await pool.destroy()
  expect(await call(pool).end).toMatchObject({ code: 'upstream_unreachable' })
  expect(pool.callsHeld).toBe(0)
})
