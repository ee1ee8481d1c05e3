// Tests when a response that is delimited only by the end of the connection is accepted as complete. Servers and TLS
// are real; pre-shared keys make certificates unnecessary.
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Problem } from '@inferwire/protocol'
import { afterEach, describe, expect, test } from 'vitest'
import type { EndpointResponse } from '../../step.ts'
import { HttpEndpoint, type HttpTarget } from './http-endpoint.ts'
import { HttpPool } from './http-pool.ts'
import { openPool } from './open-pool.ts'
import { STREAM_LIMITS } from '../testing/stream-limits.ts'
import { ServiceTime } from '../refusal/service-time.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n'
const BODY = '{"predictions":[1]}'
const ENDED_BY_CLOSE = `${HEAD}\r\n${BODY}`
const CHUNKED = `${HEAD}transfer-encoding: chunked\r\n\r\n13\r\n${BODY}\r\n0\r\n\r\n`
const WITH_LENGTH = `${HEAD}content-length: ${BODY.length}\r\n\r\n${BODY}`

async function listen(server: Server): Promise<string> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => undefined)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function ask(pool: HttpPool, origin: string): Promise<EndpointResponse | Problem> {
  closing.push(() => pool.destroy())
  const credential = { headers: () => [] }
  const target: HttpTarget = {
    pool,
    origin,
    pathPrefix: '',
    host: undefined,
    credential,
    isRepeatable: true,
    responseBytesMax: 100_000,
    stream: STREAM_LIMITS,
    errorText: 'first-line',
    serviceTime: new ServiceTime(),
  }
  return new HttpEndpoint(target, { method: 'POST', path: '/v1/models/iris:predict' })
    .call({
      body: Buffer.from('{"instances":[1]}'),
      contentType: 'application/json',
      inferenceHeaderContentLength: undefined,
      headers: [],
      emit: undefined,
      deadline: { atMs: Infinity, problem: undefined, waiting: undefined },
    })
    .catch((error: unknown) => error as Problem)
}

const PSK = Buffer.alloc(32, 7)
const CIPHERS = 'PSK-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256'
type Version = 'TLSv1.2' | 'TLSv1.3'

// After the response has been written, `end` is called with the TLS socket and its TCP socket.
async function askTls(
  version: Version,
  answer: string,
  end: (secure: TLSSocket, raw: Socket) => void,
): Promise<EndpointResponse | Problem> {
  const address = await listen(
    createServer((raw) => {
      const secure = new TLSSocket(raw, {
        isServer: true,
        ciphers: CIPHERS,
        maxVersion: version,
        pskCallback: () => PSK,
      } as ConstructorParameters<typeof TLSSocket>[1])
      secure.on('error', () => undefined)
      secure.once('data', () => secure.write(answer, () => end(secure, raw)))
    }),
  )
  const connect = {
    ciphers: CIPHERS,
    pskCallback: () => ({ psk: PSK, identity: 'connector' }),
    checkServerIdentity: () => undefined,
  }
  return ask(new HttpPool(`https://${address}`, 10, () => connect, {}), `https://${address}`)
}

const withAlert = (secure: TLSSocket): void => void secure.end()
const withAlertLater = (secure: TLSSocket): void => void setImmediate(() => secure.end())
const withoutAlert = (_secure: TLSSocket, raw: Socket): void => void raw.destroy()
const BROKEN = { code: 'upstream_unreachable', sign: 'unreachable', maybeExecuted: true }

describe.each<Version>(['TLSv1.2', 'TLSv1.3'])('over %s', (version) => {
  test('rejects a body that ends with the connection if there is no closure alert', async () => {
    const problem = await askTls(version, ENDED_BY_CLOSE, withoutAlert)
    expect(problem).toMatchObject(BROKEN)
    expect((problem as Problem).message).toBe('The connection to the model server broke during its response.')
    expect((problem as Problem).detail).toContain('close_notify')
  })

  test('accepts a body that ends with the connection if a closure alert follows, immediately or later', async () => {
    expect(await askTls(version, ENDED_BY_CLOSE, withAlert)).toMatchObject({ status: 200 })
    expect(await askTls(version, ENDED_BY_CLOSE, withAlertLater)).toMatchObject({ status: 200 })
  })

  test.each([
    ['chunks', CHUNKED],
    ['a length', WITH_LENGTH],
  ])('accepts a body with %s even if there is no closure alert', async (_what, answer) => {
    expect(await askTls(version, answer, withoutAlert)).toMatchObject({ status: 200 })
  })

  test('rejects a body of many TLS records that ends without a closure alert', async () => {
    const long = `${HEAD}\r\n[${'1,'.repeat(40_000)}1]`
    expect(await askTls(version, long, withoutAlert)).toMatchObject(BROKEN)
    expect(await askTls(version, long, withAlert)).toMatchObject({ status: 200 })
  })
})

async function askPlain(answer: string, end: (socket: Socket) => void): Promise<EndpointResponse | Problem> {
  const address = await listen(
    createServer((socket) => socket.once('data', () => socket.write(answer, () => end(socket)))),
  )
  const url = `http://${address}`
  return ask(openPool({ url, tls: {}, callsMax: 10 }), url)
}

// Resets the connection only after the client has read the response; an earlier reset would discard the response.
const reset = (socket: Socket): void => void setTimeout(() => socket.resetAndDestroy(), 20)

describe('over plain TCP', () => {
  test('accepts a body that ends when the connection is closed in an orderly way', async () => {
    expect(await askPlain(ENDED_BY_CLOSE, (socket) => socket.end())).toMatchObject({ status: 200 })
  })

  test.each([
    ['within one object', '{"predictions":[1'],
    ['between two of 80 objects', `{"predictions":[${'{"a":1},'.repeat(79)}{"a":1}`],
  ])('rejects truncated JSON: %s', async (_what, body) => {
    const problem = await askPlain(`${HEAD}\r\n${body}`, (socket) => socket.end())
    expect(problem).toMatchObject({ code: 'upstream_invalid_response' })
  })

  test('rejects a body that ends with a reset of the connection', async () => {
    expect(await askPlain(ENDED_BY_CLOSE, reset)).toMatchObject(BROKEN)
  })
})
