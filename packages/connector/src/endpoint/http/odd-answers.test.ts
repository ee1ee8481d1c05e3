// Sends unusual responses from a raw TCP server; checks the outcome and the number of calls.
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { Problem, type Route } from '@inferwire/protocol'
import { afterEach, describe, expect, test } from 'vitest'
import { successReply } from '../../reply/index.ts'
import type { EndpointResponse } from '../../step.ts'
import { HttpEndpoint, type HttpTarget } from './http-endpoint.ts'
import { HttpUpstream } from './http-upstream.ts'
import { openPool } from './open-pool.ts'
import { STREAM_LIMITS } from '../testing/stream-limits.ts'
import { ServiceTime } from '../refusal/service-time.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

const POST: Route = { method: 'POST', path: '/v1/models/iris:predict' }
const CRLF = '\r\n'

type Bytes = string | Buffer

// A response with a Content-Length.
function answer(body: Bytes, headers: readonly string[] = [], status = '200 OK'): Buffer {
  const bytes = Buffer.from(body)
  const head = [`HTTP/1.1 ${status}`, `content-length: ${bytes.length}`, ...headers, '', ''].join(CRLF)
  return Buffer.concat([Buffer.from(head), bytes])
}

interface Raw {
  readonly url: string
  /** The received requests. */
  readonly seen: string[]
}

// Answers every request with the same chunks, and sends each chunk in a packet of its own.
async function startServer(...chunks: readonly Bytes[]): Promise<Raw> {
  const seen: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket.on('error', () => undefined))
    socket.on('data', (request) => {
      seen.push(request.toString('latin1'))
      void writeAll(socket, chunks)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
}

async function writeAll(socket: Socket, chunks: readonly Bytes[]): Promise<void> {
  for (const chunk of chunks) {
    socket.write(chunk)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

function targetOf(url: string): HttpTarget {
  const pool = openPool({ url, tls: {}, callsMax: 10 })
  closing.push(() => pool.destroy())
  const credential = { headers: () => [] }
  return {
    pool,
    origin: url,
    pathPrefix: '',
    host: undefined,
    credential,
    isRepeatable: true,
    responseBytesMax: 100_000,
    stream: STREAM_LIMITS,
    errorText: 'first-line',
    serviceTime: new ServiceTime(),
  }
}

const REQUEST = {
  body: Buffer.from('{"instances":[1]}'),
  contentType: 'application/json',
  inferenceHeaderContentLength: undefined,
  headers: [],
  emit: undefined,
} as const

const request = () => ({ ...REQUEST, deadline: { atMs: Infinity, problem: undefined, waiting: undefined } })

async function ask(...chunks: readonly Bytes[]): Promise<EndpointResponse | Problem> {
  const { url } = await startServer(...chunks)
  return new HttpEndpoint(targetOf(url), POST).call(request()).catch((error: unknown) => Problem.from(error))
}

// Returns the reply's Content Type, Payload Format Indicator and text; for a problem, its code and message.
async function replyTo(...chunks: readonly Bytes[]): Promise<unknown[]> {
  const outcome = await ask(...chunks)
  if (outcome instanceof Problem) return [outcome.code, outcome.message]
  const context = { expirySeconds: 1, queueMs: 0, upstreamMs: 1, traceparent: undefined, partsSent: 0 }
  const target = { topic: 'infer/reply/cam7/iris', correlationData: undefined, qos: 1 } as const
  const { payload, properties } = successReply(target, outcome, context)
  return [properties.contentType, properties.payloadFormatIndicator, Buffer.from(payload).toString('latin1')]
}

const NOT_WHOLE = "The model server's response is not complete JSON."
const JSON_TYPE = 'content-type: application/json'

describe('the type of a response', () => {
  test.each(['0.87', 'null', '"a bare string"', ' -1e5\n', 'true'])(
    'is JSON for the bare JSON value %j',
    async (text) => {
      expect(await replyTo(answer(text, [JSON_TYPE]))).toEqual(['application/json', 1, text])
    },
  )

  test.each([
    ['bytes', '\u0000\u0001'],
    ['text', 'cat'],
    ['a number', '0.87'],
    ['an apparent JSON object', '{"predictions":[1]}'],
    ['a truncated JSON object', '{"predictions":[1'],
  ])('is application/octet-stream for %s without a Content-Type', async (_what, text) => {
    expect(await replyTo(answer(text))).toEqual(['application/octet-stream', undefined, text])
  })

  test.each([
    ['text/plain', 'cat'],
    ['text/csv; header=absent', '1,2'],
    ['application/jsonl', '{"a":1}\n{"a":2}\n'],
    ['application/vnd.acme.v1+json', '{"a":1}'],
  ])('is kept: %s', async (contentType, text) => {
    const reply = await replyTo(answer(text, [`content-type: ${contentType}`]))
    expect(reply).toEqual([contentType, undefined, text])
  })

  test('requires a complete JSON body if it has the suffix +json', async () => {
    const reply = await replyTo(answer('{"a":', ['content-type: application/vnd.acme.v1+json']))
    expect(reply).toEqual(['upstream_invalid_response', NOT_WHOLE])
  })

  test("is JSON for KServe's batcher, which labels JSON as text/plain", async () => {
    const text = '{"message":"","batchId":"x","predictions":[1]}'
    const reply = await replyTo(answer(text, ['content-type: text/plain; charset=utf-8']))
    expect(reply).toEqual(['application/json', 1, text])
  })
})

test.each(['{"predictions":[1]}{"predictions":[2]}', '{"a":1}\n{"a":2}', '[1] [2]', '1 2', '{"a":"}"}{}'])(
  'rejects two JSON values in one response: %j',
  async (text) => {
    expect(await replyTo(answer(text, [JSON_TYPE]))).toEqual(['upstream_invalid_response', NOT_WHOLE])
  },
)

const EMPTY = ['upstream_invalid_response', "The model server's response is empty."]
test.each([
  ['200', answer('', [JSON_TYPE])],
  ['200 without a type', answer('')],
  ['200 in chunks', `HTTP/1.1 200 OK${CRLF}transfer-encoding: chunked${CRLF}${CRLF}0${CRLF}${CRLF}`],
  ['204', `HTTP/1.1 204 No Content${CRLF}${CRLF}`],
  ['205', answer('', [], '205 Reset Content')],
])('rejects a prediction without a body: %s', async (_what, bytes) => {
  expect(await replyTo(bytes)).toEqual(EMPTY)
})

test.each(['v1', 'v2'] as const)(
  '%s: accepts a response without a body for readiness, but not for metadata',
  async (dialect) => {
    const { url } = await startServer(answer(''))
    const upstream = new HttpUpstream(targetOf(url), 'iris', [dialect])
    const ready = await upstream.endpoint('ready', dialect)!.call(request())
    expect(ready).toMatchObject({ status: 200, body: { length: 0 } })
    const metadata = upstream.endpoint('metadata', dialect)!.call(request())
    await expect(metadata).rejects.toMatchObject({ message: EMPTY[1] })
  },
)

describe('a response with an unrequested content coding', () => {
  const zipped = gzipSync('{"predictions":[1]}')

  test('contradicts Accept-Encoding: calls and metadata queries accept only identity', async () => {
    const { url, seen } = await startServer(answer('{"name":"iris"}', [JSON_TYPE]))
    const upstream = new HttpUpstream(targetOf(url), 'iris', ['v1'])
    await upstream.endpoint('predict', 'v1')!.call(request())
    await upstream.facts(new AbortController().signal)
    expect(seen.map((each) => each.match(/^accept-encoding: .*$/gim))).toEqual([
      ['accept-encoding: identity'],
      ['accept-encoding: identity'],
    ])
  })

  test.each([
    ['gzip', [JSON_TYPE, 'content-encoding: gzip']],
    ['gzip', ['content-type: application/octet-stream', 'content-encoding: GZIP']],
    ['zstd', ['content-encoding: identity, zstd']],
    ['br', ['content-encoding: identity', 'content-encoding: br']],
    ['gzip', ['inference-header-content-length: 2', 'content-encoding: gzip']],
  ])('is rejected, and the log names the coding: %s, %j', async (coding, headers) => {
    const problem = await ask(answer(zipped, headers))
    expect(problem).toMatchObject({ code: 'upstream_invalid_response', retryable: false })
    expect((problem as Problem).detail).toContain(`with coding "${coding}"`)
  })

  test('is rejected if the coding is a transfer coding other than chunked', async () => {
    const size = zipped.length.toString(16)
    const head = `HTTP/1.1 200 OK${CRLF}${JSON_TYPE}${CRLF}transfer-encoding: gzip, chunked${CRLF}${CRLF}`
    const problem = await ask(head, `${size}${CRLF}`, zipped, `${CRLF}0${CRLF}${CRLF}`)
    expect((problem as Problem).detail).toContain('with coding "gzip"')
  })

  test('loses its body but keeps its status if it is an error', async () => {
    const problem = await ask(answer(zipped, [JSON_TYPE, 'content-encoding: gzip'], '422 No'))
    expect(problem).toMatchObject({ code: 'upstream_error', status: 422, body: undefined })
  })

  test.each(['identity', 'Identity', ''])('is accepted if the coding is "%s"', async (coding) => {
    const reply = await replyTo(answer('{}', [JSON_TYPE, `content-encoding: ${coding}`]))
    expect(reply).toEqual(['application/json', 1, '{}'])
  })
})

describe('a text response', () => {
  const latin1 = Buffer.from('{"label":"m\u00fcde"}', 'latin1')

  test('has no Payload Format Indicator if it is not UTF-8', async () => {
    const reply = await replyTo(answer(latin1, [JSON_TYPE]))
    expect(reply).toEqual(['application/json', undefined, latin1.toString('latin1')])
  })

  test.each([
    ['application/json; charset=ISO-8859-1', latin1],
    ['application/json;charset="iso-8859-1"', latin1],
    ['text/plain; charset=windows-1252', latin1],
    ['application/json; charset=utf-16', Buffer.from('\ufeff{"label":"m\u00fcde"}', 'utf16le')],
  ])('keeps its charset: %s', async (contentType, bytes) => {
    const reply = await replyTo(answer(bytes, [`content-type: ${contentType}`]))
    expect(reply).toEqual([contentType, undefined, bytes.toString('latin1')])
  })

  test.each(['utf-8', 'UTF8', '"utf-8"', 'us-ascii'])(
    'is sent as application/json without a charset if its charset is %s',
    async (charset) => {
      const reply = await replyTo(answer('{}', [`${JSON_TYPE}; charset=${charset}`]))
      expect(reply).toEqual(['application/json', 1, '{}'])
    },
  )

  test('may begin with a byte order mark', async () => {
    const bytes = Buffer.from('\ufeff{"label":"m\u00fcde"}')
    expect(await replyTo(answer(bytes, [JSON_TYPE]))).toEqual([
      'application/json',
      1,
      bytes.toString('latin1'),
    ])
  })
})

test.each(['application/json\t; charset=utf-8', 'application/json\t', 'application/json;\tcharset=utf-8'])(
  'treats a tab in the Content-Type like a space: %j',
  async (contentType) => {
    const reply = await replyTo(answer('{}', [`content-type: ${contentType}`]))
    expect(reply).toEqual(['application/json', 1, '{}'])
  },
)

test('replaces a tab before a parameter with a space', async () => {
  const reply = await replyTo(answer('1,2', ['content-type: text/csv\t;\theader=absent']))
  expect(reply).toEqual(['text/csv ; header=absent', undefined, '1,2'])
})

test.each(['099 x', '000 x', '020 OK'])('rejects a status below 100 as invalid HTTP: %s', async (status) => {
  const problem = await ask(answer('{}', [JSON_TYPE], status))
  // The problem is not an UpstreamFailure, so it is not retried, and the circuit does not count it.
  expect(problem).toMatchObject({
    code: 'upstream_invalid_response',
    message: "The model server's response is not valid HTTP.",
    detail: expect.stringMatching(
      new RegExp(`^POST .*predict: status ${Number.parseInt(status)}$`),
    ) as string,
  })
  expect(problem).not.toHaveProperty('sign')
})

test('suggests grpc-v2 in the log if the response consists of HTTP/2 frames', async () => {
  const settings = Buffer.from('000000040000000000', 'hex')
  expect(await ask(settings)).toMatchObject({
    code: 'upstream_invalid_response',
    detail: expect.stringMatching(/If this is a gRPC port, set protocolVersion: grpc-v2\.$/) as string,
  })
})

describe('an unexpected interim response', () => {
  const GOOD = answer('{"predictions":[1]}', [JSON_TYPE])
  const CONTINUE = `HTTP/1.1 100 Continue${CRLF}${CRLF}`
  const WITH_FIELDS = `HTTP/1.1 100${CRLF}server: x${CRLF}date: 100${CRLF}${CRLF}`
  const HINTS = `HTTP/1.1 103 Early Hints${CRLF}link: </a>${CRLF}${CRLF}`

  test.each([
    ['100', [CONTINUE, GOOD]],
    ['100 in the same packet as the answer', [Buffer.concat([Buffer.from(CONTINUE), GOOD])]],
    ['100 with fields', [WITH_FIELDS, GOOD]],
    ['100 byte by byte', [...Array.from(CONTINUE), GOOD]],
    ['100, 103, 102 and 100', [CONTINUE, HINTS, CONTINUE.replace('100', '102'), CONTINUE, GOOD]],
  ])('is skipped, and the model is called once: %s', async (_what, chunks) => {
    const { url, seen } = await startServer(...chunks)
    const endpoint = new HttpEndpoint(targetOf(url), POST)
    // The second call uses the same connection.
    for (let calls = 1; calls <= 2; calls += 1) {
      const { body } = await endpoint.call(request())
      expect([Buffer.from(body).toString(), seen.length]).toEqual(['{"predictions":[1]}', calls])
    }
  })

  test('is not detected in a body or header that only looks like an interim response', async () => {
    const text = `"${CONTINUE}"`.replaceAll(CRLF, ' ')
    expect(await replyTo(answer(text, [JSON_TYPE, 'x-status: HTTP/1.1 100']))).toEqual([
      'application/json',
      1,
      text,
    ])
  })

  test.each([
    ['101', `HTTP/1.1 101 Switching Protocols${CRLF}connection: upgrade${CRLF}upgrade: h2c${CRLF}${CRLF}`],
    ['101 without Upgrade', `HTTP/1.1 101${CRLF}${CRLF}`],
    ['101 after 100', `${CONTINUE}HTTP/1.1 101${CRLF}${CRLF}`],
  ])('ends the call at once: %s', async (_what, head) => {
    const { url, seen } = await startServer(head)
    const call = new HttpEndpoint(targetOf(url), POST).call(request())
    const problem = await call.catch((error: unknown) => error)
    // The problem is not an UpstreamFailure, so the call is not retried.
    expect(problem).toMatchObject({ code: 'upstream_invalid_response', retryable: false })
    expect(problem).not.toHaveProperty('sign')
    expect((problem as Problem).detail).toContain('The server sent 101 (Switching Protocols)')
    expect(seen).toHaveLength(1)
  })

  test('ends the call if the server sends interim responses without end', async () => {
    const { url, seen } = await startServer(CONTINUE.repeat(2_000))
    const problem = await new HttpEndpoint(targetOf(url), POST)
      .call(request())
      .catch((error: unknown) => error)
    expect(problem).toMatchObject({ code: 'upstream_invalid_response', retryable: false })
    expect((problem as Problem).detail).toContain('interim responses (1xx) without end')
    expect(seen).toHaveLength(1)
  })
})
