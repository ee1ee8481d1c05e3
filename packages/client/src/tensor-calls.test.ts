// Tests the choice between binary and JSON, with a host that imitates different model servers.
import { readV2Request, type ReceivedCard } from '@inferwire/protocol'
import { expect, test } from 'vitest'
import { InferwireError } from './error.ts'
import type { InferOptions } from './options.ts'
import { readReply, type Reply } from './reply.ts'
import { isTensorList, TensorCalls } from './tensor-calls.ts'

type Sent = { readonly model: string; readonly body: Uint8Array; readonly options: InferOptions }

const X = [{ name: 'x', shape: [1], data: Float32Array.of(0.5) }]
const NAN = [{ name: 'x', shape: [1], data: Float32Array.of(NaN) }]
const LENGTH = 'inference-header-content-length'
const card = (...versions: string[]): ReceivedCard => ({
  contract: 1,
  name: 'm',
  operations: ['infer'],
  protocol_versions: versions,
})

function replyOf(body: string | Uint8Array, userProperties: string[] = []): Reply {
  const payload = typeof body === 'string' ? new TextEncoder().encode(body) : body
  return readReply(
    { topic: 't', payload, properties: { userProperties: ['status', '200', ...userProperties] } },
    { model: 'm', operation: 'infer', attempts: 1, durationMs: 1 },
  )
}

const GOOD = '{"outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[1]}]}'

function start(
  cards: (name: string) => ReceivedCard | undefined,
  answer: (sent: Sent) => Reply,
  isMqtt5 = true,
) {
  const sent: (Sent & { isBinary: boolean })[] = []
  const asked: string[] = []
  const calls = new TensorCalls({
    isMqtt5,
    send: async (model, body, options) => {
      const isBinary = options.contentType === 'application/octet-stream'
      sent.push({ model, body, options, isBinary })
      return await Promise.resolve(answer({ model, body, options }))
    },
    card: async (name) => {
      asked.push(name)
      return await Promise.resolve(cards(name))
    },
  })
  return { calls, sent, asked }
}

const refusing =
  (status: number, code = 'upstream_error', body = '{"error":"no"}') =>
  ({ options }: Sent): Reply => {
    if (options.contentType === undefined) return replyOf(GOOD)
    throw new InferwireError(code, 'no', { status, body: new TextEncoder().encode(body) })
  }

test('recognizes tensors by their data, and leaves other lists and objects alone', () => {
  expect(isTensorList(X)).toBe(true)
  expect(isTensorList([{ data: 1 }])).toBe(true)
  for (const body of [[], [1], [null], [{ name: 'x' }], { inputs: X }, 'x', undefined]) {
    expect(isTensorList(body)).toBe(false)
  }
})

test('sends binary tensors if the card lists a dialect that supports them, and reads the card only once', async () => {
  const { calls, sent, asked } = start(
    () => card('v1', 'v2', 'v9'),
    () => replyOf(GOOD),
  )
  const reply = await calls.infer('m@3', X, { headers: { 'x-line': '7' }, priority: 'high' })
  await calls.infer('m@3', X, {})
  expect(reply.output('y').data).toEqual(Float32Array.of(1))
  expect(asked).toEqual(['m'])
  const { body, options } = sent[0]!
  expect(options).toMatchObject({
    operation: 'infer',
    priority: 'high',
    contentType: 'application/octet-stream',
  })
  expect(options.headers).toMatchObject({ 'x-line': '7' })
  expect(options.timeoutMs).toBeGreaterThan(25_000)
  const signature = { name: 'm', inputs: [{ name: 'x', datatype: 'FP32' as const }], outputs: [] }
  expect(readV2Request(signature, body, Number(options.headers![LENGTH])).inputs[0]!.data).toEqual(X[0]!.data)
})

test.each([
  ['without a card', (): undefined => undefined, true],
  ['if the card lists no such dialect', () => card('v1', 'toString'), true],
  ['if the card has no dialects', (): ReceivedCard => ({ ...card(), protocol_versions: undefined }), true],
  ['on MQTT 3.1.1', () => card('v2'), false],
] as const)('sends JSON %s', async (_why, cards, isMqtt5) => {
  const { calls, sent } = start(cards, () => replyOf(GOOD), isMqtt5)
  await calls.infer('m', X, {})
  expect(sent.map(({ isBinary }) => isBinary)).toEqual([false])
  expect(sent[0]!.options).toMatchObject({ operation: 'infer' })
  expect(JSON.parse(new TextDecoder().decode(sent[0]!.body))).toEqual({
    inputs: [{ name: 'x', shape: [1], datatype: 'FP32', data: [0.5] }],
  })
})

test.each([
  ['JSON after the card was read', (): undefined => undefined, () => replyOf(GOOD)],
  ['JSON after a refused binary request', () => card('v2'), refusing(415)],
] as const)(
  'changing an array while infer() is waiting for an answer does not change the request: %s',
  async (_, cards, answer) => {
    const data = Float32Array.of(0.5)
    const text = [Buffer.of(65)]
    const { calls, sent } = start(cards, answer)
    const running = calls.infer(
      'm',
      [
        { name: 'x', shape: [1], data },
        { name: 't', shape: [1], data: text },
      ],
      {},
    )
    data[0] = 9
    text[0]![0] = 66
    await running
    expect(JSON.parse(new TextDecoder().decode(sent.at(-1)!.body))).toMatchObject({
      inputs: [{ data: [0.5] }, { data: ['A'] }],
    })
  },
)

test('sends JSON if the client may not read cards', async () => {
  const { calls, sent } = start(
    (): ReceivedCard => {
      throw new InferwireError('not_authorized', 'no')
    },
    () => replyOf(GOOD),
  )
  await calls.infer('m', X, {})
  expect(sent.map(({ isBinary }) => isBinary)).toEqual([false])
})

test.each([
  [400, 'upstream_error', 'Bad Request'],
  [422, 'upstream_error', '{"detail":[]}'],
  [415, 'unsupported_content_type'],
  // MLServer's answer to bytes that are not UTF-8.
  [500, 'upstream_error', 'Internal Server Error'],
])(
  'repeats a binary request as JSON if the model server rejects the encoding (%i %s), and sends JSON from then on',
  async (status, code, body?: string) => {
    const { calls, sent } = start(() => card('v2'), refusing(status, code, body))
    await calls.infer('m', X, {})
    await calls.infer('m', X, {})
    expect(sent.map(({ isBinary }) => isBinary)).toEqual([true, false, false])
  },
)

test('does not repeat a request that JSON cannot represent, or whose encoding the caller chose', async () => {
  const { calls, sent } = start(() => card('v2'), refusing(415))
  await expect(calls.infer('m', NAN, {})).rejects.toMatchObject({ status: 415 })
  await expect(calls.infer('m', X, { encoding: 'binary' })).rejects.toMatchObject({ status: 415 })
  expect(sent.map(({ isBinary }) => isBinary)).toEqual([true, true])
})

test.each([400, 422, 500, 404, 503])(
  'does not repeat a request after the status %i, because the model may have run',
  async (status) => {
    const { calls, sent } = start(() => card('v2'), refusing(status))
    await expect(calls.infer('m', X, {})).rejects.toMatchObject({ status })
    expect(sent).toHaveLength(1)
  },
)

test('does not fall back to JSON for a server that has accepted binary before', async () => {
  let status = 0
  const { calls, sent } = start(
    () => card('v2'),
    (request) => (status === 0 ? replyOf(GOOD) : refusing(status)(request)),
  )
  await calls.infer('m', X, {})
  status = 400
  await expect(calls.infer('m', X, {})).rejects.toMatchObject({ status: 400 })
  expect(sent.map(({ isBinary }) => isBinary)).toEqual([true, true])
})

test.each([
  [replyOf('[]'), /is not a V2 response: it is not a JSON object/],
  [replyOf('{"outputs":[]}', [LENGTH, '1e2']), /inference-header-content-length is not a number/],
  [replyOf('{"outputs":[]}', [LENGTH, '99']), /but the body has 14/],
])('rejects a reply that is not a V2 response', async (reply, message) => {
  const { calls } = start(
    () => undefined,
    () => reply,
  )
  const failed = calls.infer('m', X, {})
  await expect(failed).rejects.toMatchObject({ code: 'upstream_invalid_response', retryable: false })
  await expect(failed).rejects.toThrow(message)
})

test('rejects an unknown encoding', async () => {
  const { calls } = start(
    () => undefined,
    () => replyOf(GOOD),
  )
  await expect(calls.infer('m', X, { encoding: 'cbor' as 'json' })).rejects.toThrow(/encoding is "cbor"/)
})
