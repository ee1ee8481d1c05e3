import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { operationsOf, Problem } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Deadline, EndpointRequest } from '../../step.ts'
import type { CallCredential } from '../upstream-options.ts'
import { HttpEndpoint, type HttpTarget } from './http-endpoint.ts'
import { HttpUpstream } from './http-upstream.ts'
import { openPool } from './open-pool.ts'
import { STREAM_LIMITS } from '../testing/stream-limits.ts'
import { ServiceTime } from '../refusal/service-time.ts'

interface Seen {
  readonly method: string
  readonly url: string
  readonly rawHeaders: readonly string[]
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

let server: Server
let seen: Seen[]
let answer: (response: ServerResponse, request: Seen) => void
const closing: (() => unknown)[] = []

beforeEach(async () => {
  seen = []
  answer = (response) => response.setHeader('content-type', 'application/json').end('{"predictions":[1]}')
  server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url = '', rawHeaders, headers } = request
      const whole = { method, url, rawHeaders, headers, body: Buffer.concat(chunks).toString() }
      seen.push(whole)
      answer(response, whole)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
})

afterEach(async () => {
  for (const close of closing.splice(0)) await close()
  server.closeAllConnections()
  server.close()
})

const none: CallCredential = { headers: () => [] }

function targetOf(overrides: Partial<HttpTarget> = {}): HttpTarget {
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const pool = openPool({ url: origin, tls: {}, callsMax: 100 })
  closing.push(() => pool.destroy())
  return {
    pool,
    origin,
    pathPrefix: '',
    host: undefined,
    credential: none,
    isRepeatable: true,
    responseBytesMax: 1_000,
    stream: STREAM_LIMITS,
    errorText: 'first-line',
    serviceTime: new ServiceTime(),
    ...overrides,
  }
}

type TestDeadline = { -readonly [Key in keyof Deadline]: Deadline[Key] }
const noDeadline = (): TestDeadline => ({ atMs: Infinity, problem: undefined, waiting: undefined })

function requestOf(overrides: Partial<EndpointRequest> = {}): EndpointRequest {
  return {
    body: Buffer.from('{"instances":[1]}'),
    contentType: 'application/json',
    inferenceHeaderContentLength: undefined,
    headers: [],
    deadline: noDeadline(),
    emit: undefined,
    ...overrides,
  }
}

async function problemOf(call: Promise<unknown>): Promise<Problem> {
  const error = await call.then(
    () => 'an answer',
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(Problem)
  return error as Problem
}

test('sends the body unchanged, without unnecessary headers', async () => {
  const endpoint = new HttpEndpoint(targetOf({ pathPrefix: '/serving' }), {
    method: 'POST',
    path: '/v1/models/iris:predict',
  })
  const { body, contentType } = await endpoint.call(requestOf())
  expect([Buffer.from(body).toString(), contentType]).toEqual(['{"predictions":[1]}', 'application/json'])
  const { method, url, headers, body: sent } = seen[0]!
  expect([method, url, sent]).toEqual(['POST', '/serving/v1/models/iris:predict', '{"instances":[1]}'])
  // The list must be complete: undici must not add a header field such as user-agent.
  expect(Object.keys(headers).sort()).toEqual([
    'accept-encoding',
    'connection',
    'content-length',
    'content-type',
    'host',
  ])
  expect(headers['content-type']).toBe('application/json')
})

test('sends the configured Host instead of the address', async () => {
  const host = 'iris-predictor.models.example.com'
  const target = targetOf({ host })
  await new HttpEndpoint(target, { method: 'POST', path: '/x' }).call(requestOf())
  await new HttpEndpoint(target, { method: 'GET', path: '/x' }).call(requestOf())
  for (const { headers, rawHeaders } of seen) {
    expect(headers.host).toBe(host)
    expect(rawHeaders.filter((name) => name.toLowerCase() === 'host')).toHaveLength(1)
  }
})

test('sends a body that is not JSON with its own content type, but without a length header', async () => {
  const endpoint = new HttpEndpoint(targetOf(), { method: 'POST', path: '/x' })
  await endpoint.call(requestOf({ contentType: 'image/jpeg' }))
  expect(seen[0]!.headers['content-type']).toBe('image/jpeg')
  expect(seen[0]!.headers).not.toHaveProperty('inference-header-content-length')
})

test('forwards binary tensors with the length of the JSON part', async () => {
  const endpoint = new HttpEndpoint(targetOf({ host: 'iris.example' }), { method: 'POST', path: '/x' })
  const contentType = 'application/octet-stream'
  await endpoint.call(
    requestOf({ contentType, inferenceHeaderContentLength: '17', headers: ['x-line', '3'] }),
  )
  expect(seen[0]!.headers).toMatchObject({
    host: 'iris.example',
    'content-type': contentType,
    'inference-header-content-length': '17',
    'x-line': '3',
  })
})

test('does not follow a redirect', async () => {
  answer = (response, { url }) =>
    url === '/elsewhere' ? response.end('{}') : response.writeHead(307, { location: '/elsewhere' }).end()
  const problem = await problemOf(
    new HttpEndpoint(targetOf(), { method: 'POST', path: '/x' }).call(requestOf()),
  )
  expect(problem.code).toBe('upstream_invalid_response')
  expect(seen.map(({ url }) => url)).toEqual(['/x'])
})

test('rereads the token after a rejection, and retries once if the token changed', async () => {
  let token = 'old'
  const credential: CallCredential = {
    headers: () => ['authorization', `Bearer ${token}`],
    refresh: () => {
      const before = token
      token = 'new'
      return token !== before
    },
  }
  answer = (response, { headers }) => {
    const isGood = headers.authorization === 'Bearer new'
    response.statusCode = isGood ? 200 : 401
    response
      .setHeader('content-type', 'application/json')
      .end(isGood ? '{"predictions":[2]}' : '{"detail":"no"}')
  }
  const endpoint = new HttpEndpoint(targetOf({ credential }), { method: 'POST', path: '/x' })
  const { body, isBodySent } = await endpoint.call(requestOf())
  expect(Buffer.from(body).toString()).toBe('{"predictions":[2]}')
  // The first connection may still be sending the body.
  expect(isBodySent).toBe(false)
  expect(seen.map(({ headers }) => headers.authorization)).toEqual(['Bearer old', 'Bearer new'])
  expect(seen.map((each) => each.body)).toEqual(['{"instances":[1]}', '{"instances":[1]}'])
})

test.each<[string, string, string, number]>([
  ['once for a refusal of a gateway', 'text/plain', 'Jwt is expired', 2],
  ["not for the model's own error", 'application/json', '{"detail":"no"}', 1],
])('repeats a call of a model with repeatable: false %s', async (_what, contentType, text, calls) => {
  let token = 'old'
  const credential: CallCredential = {
    headers: () => ['authorization', token],
    refresh: () => ((token = 'new'), true),
  }
  const authenticate = 'Bearer realm="x", error="invalid_token"'
  answer = (response) =>
    response.writeHead(401, { 'content-type': contentType, 'www-authenticate': authenticate }).end(text)
  const target = targetOf({ credential, isRepeatable: false })
  await problemOf(new HttpEndpoint(target, { method: 'POST', path: '/x' }).call(requestOf()))
  expect(seen).toHaveLength(calls)
  // The next call has the new token.
  expect(token).toBe('new')
})

test.each([true, false])(
  'rereads the token only once if it is rejected repeatedly (token changed: %s)',
  async (hasChanged) => {
    let refreshed = 0
    const credential: CallCredential = {
      headers: () => Promise.resolve(['authorization', 'Bearer x']),
      refresh: () => {
        refreshed += 1
        return Promise.resolve(hasChanged)
      },
    }
    answer = (response) =>
      response.writeHead(403, { 'content-type': 'text/plain' }).end('RBAC: access denied')
    const problem = await problemOf(
      new HttpEndpoint(targetOf({ credential }), { method: 'POST', path: '/x' }).call(requestOf()),
    )
    expect(problem.code).toBe('unauthorized_upstream')
    expect([refreshed, seen.length]).toEqual([1, hasChanged ? 2 : 1])
  },
)

test('rejects a response over the size limit, with or without Content-Length', async () => {
  const endpoint = new HttpEndpoint(targetOf(), { method: 'POST', path: '/x' })
  answer = (response) => response.writeHead(200, { 'content-length': '1001' }).write('{')
  expect((await problemOf(endpoint.call(requestOf()))).code).toBe('response_too_large')
  answer = (response) => response.writeHead(200).write(' '.repeat(1_001))
  expect((await problemOf(endpoint.call(requestOf()))).code).toBe('response_too_large')
})

test('closes the socket when the deadline passes', async () => {
  const gone = new Promise((resolve) => (answer = (response) => response.once('close', resolve)))
  const deadline = noDeadline()
  const call = problemOf(
    new HttpEndpoint(targetOf(), { method: 'POST', path: '/x' }).call(requestOf({ deadline })),
  )
  await expect.poll(() => seen.length).toBe(1)
  const expired = new Problem('deadline_exceeded', 'too late')
  deadline.problem = expired
  deadline.waiting!(expired)
  expect(await call).toBe(expired)
  await gone
})

test('does not send a request whose deadline has already passed', async () => {
  const problem = new Problem('deadline_exceeded', 'too late')
  const deadline = { ...noDeadline(), problem }
  const endpoint = new HttpEndpoint(targetOf(), { method: 'POST', path: '/x' })
  expect(await problemOf(endpoint.call(requestOf({ deadline })))).toBe(problem)
  await endpoint.call(requestOf())
  expect(seen).toHaveLength(1)
})

test('sends nothing if the credential cannot be read', async () => {
  const problem = new Problem('unauthorized_upstream', 'no credential')
  const credential: CallCredential = {
    headers: () => {
      throw problem
    },
  }
  expect(
    await problemOf(
      new HttpEndpoint(targetOf({ credential }), { method: 'POST', path: '/x' }).call(requestOf()),
    ),
  ).toBe(problem)
  expect(seen).toEqual([])
})

test('each operation has its own method and path, and a name cannot escape its path segment', async () => {
  answer = (response) => response.end('{}')
  const target = targetOf({ pathPrefix: '/p' })
  const asked = [
    ['v1', 'a/../b', undefined],
    ['v2', 'iris', undefined],
    ['v2', 'iris', '3/x'],
  ] as const
  for (const [dialect, model, version] of asked) {
    const upstream = new HttpUpstream(target, model, [dialect])
    for (const operation of operationsOf([dialect])) {
      await upstream.endpoint(operation, dialect, version)!.call(requestOf())
    }
  }
  expect(seen.map(({ method, url, body }) => `${method} ${url} ${body.length > 0}`)).toEqual([
    'POST /p/v1/models/a%2F..%2Fb:predict true',
    'POST /p/v1/models/a%2F..%2Fb:explain true',
    'GET /p/v1/models/a%2F..%2Fb false',
    'GET /p/v1/models/a%2F..%2Fb false',
    'POST /p/v2/models/iris/infer true',
    'POST /p/v2/models/iris/infer_stream true',
    'POST /p/v2/models/iris/generate true',
    'GET /p/v2/models/iris false',
    'GET /p/v2/models/iris/ready false',
    'POST /p/v2/models/iris/versions/3%2Fx/infer true',
    'POST /p/v2/models/iris/versions/3%2Fx/infer_stream true',
    'POST /p/v2/models/iris/versions/3%2Fx/generate true',
    'GET /p/v2/models/iris/versions/3%2Fx false',
    'GET /p/v2/models/iris/versions/3%2Fx/ready false',
  ])
  expect(new HttpUpstream(target, 'iris', ['v1']).endpoint('infer', 'v1')).toBeUndefined()
})
