// Answers that a real server sends byte by byte: what comes of each, and how often the model is called for it.
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

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

const POST: Route = { method: 'POST', path: '/v1/models/iris:predict' }
const CRLF = '\r\n'

type Bytes = string | Buffer

// An answer with its length.
function answer(body: Bytes, headers: readonly string[] = [], status = '200 OK'): Buffer {
  const bytes = Buffer.from(body)
  const head = [`HTTP/1.1 ${status}`, `content-length: ${bytes.length}`, ...headers, '', ''].join(CRLF)
  return Buffer.concat([Buffer.from(head), bytes])
}

interface Raw {
  readonly url: string
  /** The requests, as they came. */
  readonly seen: string[]
}

// Each request gets the same chunks, each in a packet of its own.
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
    responseBytesMax: 100_000,
    errorText: 'first-line',
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

// What the requester gets: the type, the indicator, the text.
async function replyTo(...chunks: readonly Bytes[]): Promise<unknown[]> {
  const outcome = await ask(...chunks)
  if (outcome instanceof Problem) return [outcome.code, outcome.message]
  const context = { expirySeconds: 1, queueMs: 0, upstreamMs: 1, traceparent: undefined, partsSent: 0 }
  const target = { topic: 'infer/reply/cam7/iris', correlationData: undefined, qos: 1 } as const
  const { payload, properties } = successReply(target, outcome, context)
  return [properties.contentType, properties.payloadFormatIndicator, Buffer.from(payload).toString('latin1')]
}

const NOT_WHOLE = 'The answer of the model server is not whole JSON.'
const JSON_TYPE = 'content-type: application/json'

describe('a model that answers with one value', () => {
  test.each(['0.87', 'null', '"a bare string"', ' -1e5\n', 'true'])('%j is JSON', async (text) => {
    expect(await replyTo(answer(text, [JSON_TYPE]))).toEqual(['application/json', 1, text])
  })

  test.each([
    ['bytes', '\u0000\u0001'],
    ['text', 'cat'],
    ['a number', '0.87'],
    ['what looks like an object', '{"predictions":[1]}'],
    ['what looks like an object that is cut short', '{"predictions":[1'],
  ])('%s without a Content-Type: the type is unknown', async (_what, text) => {
    expect(await replyTo(answer(text))).toEqual(['application/octet-stream', undefined, text])
  })

  test.each([
    ['text/plain', 'cat'],
    ['text/csv; header=absent', '1,2'],
    ['application/jsonl', '{"a":1}\n{"a":2}\n'],
    ['application/vnd.acme.v1+json', '{"a":1}'],
  ])('as %s keeps its type', async (contentType, text) => {
    const reply = await replyTo(answer(text, [`content-type: ${contentType}`]))
    expect(reply).toEqual([contentType, undefined, text])
  })

  test('a type that is built on JSON is checked like JSON', async () => {
    const reply = await replyTo(answer('{"a":', ['content-type: application/vnd.acme.v1+json']))
    expect(reply).toEqual(['upstream_invalid_response', NOT_WHOLE])
  })

  test("KServe's batcher, whose type Go guesses, answers with JSON", async () => {
    const text = '{"message":"","batchId":"x","predictions":[1]}'
    const reply = await replyTo(answer(text, ['content-type: text/plain; charset=utf-8']))
    expect(reply).toEqual(['application/json', 1, text])
  })
})

test.each(['{"predictions":[1]}{"predictions":[2]}', '{"a":1}\n{"a":2}', '[1] [2]', '1 2', '{"a":"}"}{}'])(
  'two values in one answer are not one: %j',
  async (text) => {
    expect(await replyTo(answer(text, [JSON_TYPE]))).toEqual(['upstream_invalid_response', NOT_WHOLE])
  },
)

const EMPTY = ['upstream_invalid_response', 'The answer of the model server is empty.']
test.each([
  ['200', answer('', [JSON_TYPE])],
  ['200 without a type', answer('')],
  ['200 in chunks', `HTTP/1.1 200 OK${CRLF}transfer-encoding: chunked${CRLF}${CRLF}0${CRLF}${CRLF}`],
  ['204', `HTTP/1.1 204 No Content${CRLF}${CRLF}`],
  ['205', answer('', [], '205 Reset Content')],
])('a prediction without a body is no answer: %s', async (_what, bytes) => {
  expect(await replyTo(bytes)).toEqual(EMPTY)
})

test.each(['v1', 'v2'] as const)(
  '%s: a status alone says that a model is ready, but not what it is',
  async (dialect) => {
    const { url } = await startServer(answer(''))
    const upstream = new HttpUpstream(targetOf(url), 'iris', [dialect])
    const ready = await upstream.endpoint('ready', dialect)!.call(request())
    expect(ready).toMatchObject({ status: 200, body: { length: 0 } })
    const metadata = upstream.endpoint('metadata', dialect)!.call(request())
    await expect(metadata).rejects.toMatchObject({ message: EMPTY[1] })
  },
)

describe('an answer that is encoded, although nobody asked for it', () => {
  const zipped = gzipSync('{"predictions":[1]}')

  test('the request accepts no coding but identity, also the question what the model is', async () => {
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
  ])('%s is refused by its name: %j', async (coding, headers) => {
    const problem = await ask(answer(zipped, headers))
    expect(problem).toMatchObject({ code: 'upstream_invalid_response', retryable: false })
    expect((problem as Problem).detail).toContain(`the coding "${coding}"`)
  })

  test('a transfer coding other than chunked is refused as well', async () => {
    const size = zipped.length.toString(16)
    const head = `HTTP/1.1 200 OK${CRLF}${JSON_TYPE}${CRLF}transfer-encoding: gzip, chunked${CRLF}${CRLF}`
    const problem = await ask(head, `${size}${CRLF}`, zipped, `${CRLF}0${CRLF}${CRLF}`)
    expect((problem as Problem).detail).toContain('the coding "gzip"')
  })

  test('an error keeps its status, without the bytes', async () => {
    const problem = await ask(answer(zipped, [JSON_TYPE, 'content-encoding: gzip'], '422 No'))
    expect(problem).toMatchObject({ code: 'upstream_error', status: 422, body: undefined })
  })

  test.each(['identity', 'Identity', ''])('"%s" is no coding', async (coding) => {
    const reply = await replyTo(answer('{}', [JSON_TYPE, `content-encoding: ${coding}`]))
    expect(reply).toEqual(['application/json', 1, '{}'])
  })
})

describe('an answer that is not UTF-8', () => {
  const latin1 = Buffer.from('{"label":"m\u00fcde"}', 'latin1')

  test('the indicator does not promise it', async () => {
    const reply = await replyTo(answer(latin1, [JSON_TYPE]))
    expect(reply).toEqual(['application/json', undefined, latin1.toString('latin1')])
  })

  test.each([
    ['application/json; charset=ISO-8859-1', latin1],
    ['application/json;charset="iso-8859-1"', latin1],
    ['text/plain; charset=windows-1252', latin1],
    ['application/json; charset=utf-16', Buffer.from('\ufeff{"label":"m\u00fcde"}', 'utf16le')],
  ])('its charset is kept: %s', async (contentType, bytes) => {
    const reply = await replyTo(answer(bytes, [`content-type: ${contentType}`]))
    expect(reply).toEqual([contentType, undefined, bytes.toString('latin1')])
  })

  test.each(['utf-8', 'UTF8', '"utf-8"', 'us-ascii'])(
    'the charset %s adds nothing to JSON',
    async (charset) => {
      const reply = await replyTo(answer('{}', [`${JSON_TYPE}; charset=${charset}`]))
      expect(reply).toEqual(['application/json', 1, '{}'])
    },
  )

  test('a byte order mark is no reason to refuse it', async () => {
    const bytes = Buffer.from('\ufeff{"label":"m\u00fcde"}')
    expect(await replyTo(answer(bytes, [JSON_TYPE]))).toEqual([
      'application/json',
      1,
      bytes.toString('latin1'),
    ])
  })
})

test.each(['application/json\t; charset=utf-8', 'application/json\t', 'application/json;\tcharset=utf-8'])(
  'a tab in the Content-Type separates as a space does: %j',
  async (contentType) => {
    const reply = await replyTo(answer('{}', [`content-type: ${contentType}`]))
    expect(reply).toEqual(['application/json', 1, '{}'])
  },
)

test('a tab in front of a parameter that is kept becomes a space', async () => {
  const reply = await replyTo(answer('1,2', ['content-type: text/csv\t;\theader=absent']))
  expect(reply).toEqual(['text/csv ; header=absent', undefined, '1,2'])
})

test.each(['099 x', '000 x', '020 OK'])(
  'a status below 100 is no HTTP, and the words are ours: %s',
  async (status) => {
    const problem = await ask(answer('{}', [JSON_TYPE], status))
    // Not an UpstreamFailure: it is not tried again, and does not count for the circuit.
    expect(problem).toMatchObject({
      code: 'upstream_invalid_response',
      message: 'The answer of the model server is not valid HTTP.',
      detail: expect.stringMatching(
        new RegExp(`^POST .*predict: status ${Number.parseInt(status)}$`),
      ) as string,
    })
    expect(problem).not.toHaveProperty('sign')
  },
)

describe('an interim answer that nobody asked for', () => {
  const GOOD = answer('{"predictions":[1]}', [JSON_TYPE])
  const CONTINUE = `HTTP/1.1 100 Continue${CRLF}${CRLF}`
  const WITH_FIELDS = `HTTP/1.1 100${CRLF}server: x${CRLF}date: 100${CRLF}${CRLF}`
  const HINTS = `HTTP/1.1 103 Early Hints${CRLF}link: </a>${CRLF}${CRLF}`

  test.each([
    ['100', [CONTINUE, GOOD]],
    ['100 in one packet with the answer', [Buffer.concat([Buffer.from(CONTINUE), GOOD])]],
    ['100 with fields', [WITH_FIELDS, GOOD]],
    ['100 byte by byte', [...Array.from(CONTINUE), GOOD]],
    ['100, 103, 102 and 100', [CONTINUE, HINTS, CONTINUE.replace('100', '102'), CONTINUE, GOOD]],
  ])('%s is skipped, and the model is called once', async (_what, chunks) => {
    const { url, seen } = await startServer(...chunks)
    const endpoint = new HttpEndpoint(targetOf(url), POST)
    // On a connection that is kept, too.
    for (let calls = 1; calls <= 2; calls += 1) {
      const { body } = await endpoint.call(request())
      expect([Buffer.from(body).toString(), seen.length]).toEqual(['{"predictions":[1]}', calls])
    }
  })

  test('what only looks like one stays as it is', async () => {
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
  ])('%s is no answer of a model, and ends the call at once', async (_what, head) => {
    const { url, seen } = await startServer(head)
    const call = new HttpEndpoint(targetOf(url), POST).call(request())
    const problem = await call.catch((error: unknown) => error)
    // Not an UpstreamFailure: it is not tried again.
    expect(problem).toMatchObject({ code: 'upstream_invalid_response', retryable: false })
    expect(problem).not.toHaveProperty('sign')
    expect((problem as Problem).detail).toContain('The server answered 101 (Switching Protocols)')
    expect(seen).toHaveLength(1)
  })

  test('interim answers without an end end the call at once', async () => {
    const { url, seen } = await startServer(CONTINUE.repeat(2_000))
    const problem = await new HttpEndpoint(targetOf(url), POST)
      .call(request())
      .catch((error: unknown) => error)
    expect(problem).toMatchObject({ code: 'upstream_invalid_response', retryable: false })
    expect((problem as Problem).detail).toContain('interim answers (1xx) without an end')
    expect(seen).toHaveLength(1)
  })
})
