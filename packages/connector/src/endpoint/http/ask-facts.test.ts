// Tests how the metadata of a real server is interpreted.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Problem } from '@inferwire/protocol'
import { afterEach, expect, test } from 'vitest'
import type { ModelFacts } from '../../step.ts'
import type { CallCredential } from '../upstream-options.ts'
import { openHttpUpstream, type HttpUpstream } from './http-upstream.ts'
import { STREAM_LIMITS } from '../testing/stream-limits.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

type Answer = (response: ServerResponse, request: IncomingMessage) => void
const V2_METADATA = {
  name: 'iris',
  platform: 'onnx',
  versions: ['1'],
  inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 4] }],
  outputs: [],
}
const text =
  (body: string, status = 200): Answer =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(body)
const json = (status: number, body: unknown): Answer => text(JSON.stringify(body), status)
const notFound = json(404, { detail: 'Not Found' })
const page =
  (status: number): Answer =>
  (response) =>
    response.writeHead(status, { 'content-type': 'text/html' }).end('<html>Not here</html>')

// The keys of `answers` are paths, without the common prefix and model name.
async function upstreamOf(
  answers: Readonly<Record<string, Answer>>,
  versions: readonly string[] = [],
  credential: CallCredential = { headers: () => [] },
): Promise<HttpUpstream> {
  const server = createServer((request, response) => {
    const path = request.url!.replace('/models/iris', '').replace('/p/', '')
    const answer = answers[path] ?? (/^v2\/(?:generate|infer_stream)$/.test(path) ? notFound : undefined)
    if (answer === undefined) response.destroy()
    else answer(response, request)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const upstream = openHttpUpstream({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/p/`,
    host: undefined,
    tls: {},
    credential,
    model: 'iris',
    dialects: ['v2', 'v1'],
    versions,
    callsMax: 10,
    responseBytesMax: 1_000,
    stream: STREAM_LIMITS,
    errorText: 'first-line',
  })
  closing.push(() => upstream.destroy())
  return upstream
}

async function ask(v2: Answer, v1: Answer, signal?: AbortSignal): Promise<ModelFacts | Problem> {
  const upstream = await upstreamOf({ v1, v2 })
  return upstream.facts(signal ?? new AbortController().signal).catch((error: unknown) => error as Problem)
}

test('takes the tensors from V2 if the server supports both dialects', async () => {
  expect(await ask(json(200, V2_METADATA), json(200, { name: 'iris', ready: true }))).toEqual({
    protocolVersions: ['v2', 'v1'],
    unanswered: [],
    platform: 'onnx',
    versions: ['1'],
    inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 4] }],
  })
})

const input = (name: string, shape: unknown = [1]) => ({ name, datatype: 'FP32', shape })
const SEVENTY = Array.from({ length: 70 }, (_, index) => input(`x${index}`))

test.each([
  ['70 inputs', { inputs: SEVENTY }],
  ['an input without a shape', { inputs: [input('X'), { name: 'Y', datatype: 'FP32' }] }],
  ['a shape that contains text', { inputs: [input('X', ['batch', 4])] }],
  ['an input that is null', { inputs: [null] }],
  ['outputs that are not a list', { outputs: { name: 'Y' } }],
  ['a version that is a number', { versions: ['1', 7] }],
])('omits a list with invalid or too many entries from the metadata: %s', async (_, metadata) => {
  expect(await ask(json(200, metadata), notFound)).toEqual({ protocolVersions: ['v2'], unanswered: [] })
})

test('reads metadata with a byte order mark', async () => {
  expect(await ask(text('\ufeff{"platform":"onnx"}'), notFound)).toEqual({
    protocolVersions: ['v2'],
    unanswered: [],
    platform: 'onnx',
  })
})

test.each(['null', '[]', '0.87', '"iris"', ''])('rejects the metadata %j', async (description) => {
  expect(await ask(text(description), notFound)).toHaveProperty('code', 'upstream_invalid_response')
})

test('describes each version from the metadata of that version, and reports versions that the server does not have', async () => {
  const described = (name: string): Answer => json(200, { ...V2_METADATA, inputs: [input(name)] })
  const upstream = await upstreamOf(
    {
      v1: json(200, {}),
      v2: described('newest'),
      'v2/versions/1': described('X1'),
      'v2/versions/2': described('X2'),
      'v2/versions/9': json(404, { error: "Request for unknown model: 'iris' version 9 is not found" }),
      // KServe's own server does not support versions.
      'v2/versions/8': json(501, { error: 'Model versioning is not supported yet.' }),
      'v2/versions/7': page(404),
      'v2/versions/6': json(429, { error: 'busy' }),
    },
    ['1', '2', '9', '8', '7', '6', '5'],
  )
  const { inputs, ofVersions } = await upstream.facts(new AbortController().signal)
  expect(inputs).toEqual([input('newest')])
  const described1 = { platform: 'onnx', versions: ['1'], inputs: [input('X1')] }
  expect(ofVersions).toEqual(
    new Map<string, unknown>([
      ['1', { state: 'described', description: described1 }],
      ['2', { state: 'described', description: { ...described1, inputs: [input('X2')] } }],
      ['9', { state: 'missing', reason: expect.stringMatching(/^404 on http.*\/versions\/9$/) as string }],
      ['8', { state: 'missing', reason: expect.stringContaining('501') as string }],
      ['7', { state: 'missing', reason: expect.stringContaining('404') as string }],
      ['6', { state: 'unanswered' }],
      ['5', { state: 'unanswered' }],
    ]),
  )
})

test('a 404 in one dialect means that the dialect is unsupported; in both, that the model is not ready', async () => {
  expect(await ask(notFound, json(200, {}))).toEqual({ protocolVersions: ['v1'], unanswered: [] })
  expect(await ask(notFound, notFound)).toMatchObject({
    code: 'model_not_ready',
    detail: expect.stringMatching(
      /^404 on http.*\/p\/v2\/models\/iris and http.*\/p\/v1\/models\/iris$/,
    ) as string,
  })
})

test.each([
  ['503', json(503, { error: 'loading' })],
  ['a connection reset', (response: ServerResponse) => response.socket!.resetAndDestroy()],
  ['429', json(429, { error: 'busy' })],
])('%s in one dialect leaves open whether the server supports that dialect', async (_, failing) => {
  expect(await ask(failing, json(200, {}))).toEqual({ protocolVersions: ['v1'], unanswered: ['v2'] })
  expect(await ask(failing, notFound)).toHaveProperty('code')
})

test.each([
  ['400 (Triton, TensorFlow Serving)', json(400, { error: 'Malformed request' })],
  ['401', json(401, {})],
  ['403', json(403, { detail: 'Forbidden' })],
  ['405', json(405, { detail: 'Method Not Allowed' })],
  ['404 with a web page', page(404)],
  ['200 with a web page', page(200)],
  [
    'broken JSON',
    (response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"a":}'),
  ],
  ["a gateway's missing route", (response) => response.writeHead(404).end()],
] satisfies [string, Answer][])(
  '%s in one dialect means that the server does not support that dialect',
  async (_, refusing) => {
    expect(await ask(refusing, json(200, {}))).toEqual({ protocolVersions: ['v1'], unanswered: [] })
    expect(await ask(refusing, notFound)).toHaveProperty('code')
  },
)

test('reports a loading server rather than an error in the other dialect', async () => {
  expect(await ask(json(503, {}), json(400, {}))).toMatchObject({ code: 'model_not_ready' })
})

test('an aborted query ends at once and closes its socket', async () => {
  const stopping = new AbortController()
  let hang!: Answer
  const closed = new Promise((resolve) => {
    hang = (response) => {
      response.once('close', resolve)
      stopping.abort()
    }
  })
  expect(await ask(hang, hang, stopping.signal)).toMatchObject({ code: 'upstream_unreachable' })
  await closed
})

const behindToken: Answer = (response, request) =>
  request.headers.authorization === 'new'
    ? json(200, V2_METADATA)(response, request)
    : response.writeHead(401, { 'content-type': 'text/plain' }).end('Jwt is missing')

test('a query renews a token that the server rejects', async () => {
  let token = 'old'
  const upstream = await upstreamOf({ v2: behindToken, v1: notFound }, [], {
    headers: () => ['authorization', token],
    refresh: () => token !== (token = 'new'),
  })
  expect(await upstream.facts(new AbortController().signal)).toMatchObject({ protocolVersions: ['v2'] })
})
