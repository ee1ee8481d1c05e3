import { Problem } from '@inferwire/protocol'
import { expect, test } from 'vitest'
import type { EndpointResponse, ReplyTarget } from '../step.ts'
import { partReply, problemReply, successReply, type ReplyContext } from './reply.ts'

const target: ReplyTarget = {
  topic: 'infer/reply/cam7/iris/infer',
  correlationData: Uint8Array.from([0, 255]),
  qos: 1,
}
const context: ReplyContext = {
  expirySeconds: 4,
  queueMs: 0.44,
  upstreamMs: 5.06,
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  partsSent: 0,
}
const bare: ReplyContext = {
  expirySeconds: undefined,
  queueMs: 0,
  upstreamMs: undefined,
  traceparent: undefined,
  partsSent: 0,
}
const response: EndpointResponse = {
  status: 200,
  body: Buffer.from('{"outputs":[]}'),
  contentType: 'application/json',
  inferenceHeaderContentLength: undefined,
}

test('reports the time in a batch between the time in the queue and the time of the call', () => {
  const { properties } = successReply(target, response, { ...bare, batchMs: 2.04, upstreamMs: 5 })
  expect(properties.userProperties).toContain('queue;dur=0, batch;dur=2, upstream;dur=5')
})

test('publishes an answer unchanged, with exactly the expected properties', () => {
  const reply = successReply(target, response, context)
  expect(reply).toEqual({
    topic: target.topic,
    payload: response.body,
    qos: 1,
    retain: false,
    properties: {
      contentType: 'application/json',
      payloadFormatIndicator: 1,
      correlationData: target.correlationData,
      messageExpiryInterval: 4,
      userProperties: [
        ['status', '200'],
        ['server-timing', 'queue;dur=0.4, upstream;dur=5.1'],
        ['traceparent', context.traceparent],
      ].flat(),
    },
  })
  expect(reply.payload).toBe(response.body)
})

test('leaves out each property that corresponds to a property missing from the request', () => {
  const { properties } = successReply({ ...target, correlationData: undefined }, response, bare)
  expect(Object.keys(properties).sort()).toEqual(['contentType', 'payloadFormatIndicator', 'userProperties'])
  expect(properties.userProperties).toEqual(['status', '200', 'server-timing', 'queue;dur=0'])
})

test('specifies the header length of binary tensors, and sets no Payload Format Indicator', () => {
  const binary = { ...response, contentType: 'application/octet-stream', inferenceHeaderContentLength: '12' }
  const { properties } = successReply(target, binary, bare)
  expect(properties.payloadFormatIndicator).toBeUndefined()
  expect(properties.contentType).toBe('application/octet-stream')
  const length = ['inference-header-content-length', '12']
  expect(properties.userProperties).toEqual(['status', '200', 'server-timing', 'queue;dur=0', ...length])
})

test.each([
  ['an answer in ISO-8859-1', Buffer.from('{"label":"m\u00fcde"}', 'latin1'), undefined],
  ['an answer in UTF-8', Buffer.from('{"label":"m\u00fcde"}'), 1],
  ['half a character', Buffer.from('"\u00fc"').subarray(0, 2), undefined],
  ['a surrogate in UTF-8', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), undefined],
])('sets the Payload Format Indicator of JSON only for valid UTF-8: %s', (_what, body, indicator) => {
  const contentType = 'application/json'
  const error = new Problem('upstream_error', 'x', { status: 400, body, contentType })
  const replies = [
    successReply(target, { ...response, body }, bare),
    problemReply(target, error, bare),
    partReply(target, { body, contentType }, 0, undefined),
  ]
  for (const { properties } of replies) {
    expect([properties.contentType, properties.payloadFormatIndicator]).toEqual([contentType, indicator])
  }
})

test('leaves out the Content Type of an empty body, such as the status of a ready model', () => {
  const { properties, payload } = successReply(target, { ...response, body: new Uint8Array(0) }, bare)
  expect(payload).toHaveLength(0)
  expect(Object.keys(properties)).toEqual(['userProperties', 'correlationData'])
})

test('publishes a problem with status, code and a body that a KServe client can read', () => {
  const problem = new Problem('overloaded', 'Model "iris" is busy.', {
    retryAfterMs: 500,
    detail: 'http://10.0.0.7',
  })
  const reply = problemReply(target, problem, { ...bare, queueMs: 12.345 })
  expect(reply).toMatchObject({ topic: target.topic, qos: 1, retain: false })
  expect(JSON.parse(Buffer.from(reply.payload).toString())).toEqual({
    error: 'Model "iris" is busy.',
    code: 'overloaded',
    status: 429,
    retryable: true,
    retry_after_ms: 500,
  })
  expect(reply.properties).toEqual({
    contentType: 'application/json',
    payloadFormatIndicator: 1,
    correlationData: target.correlationData,
    userProperties: ['status', '429', 'code', 'overloaded', 'server-timing', 'queue;dur=12.3'],
  })
})

test("publishes the model server's own error body unchanged", () => {
  const body = Buffer.from('Internal Server Error')
  const problem = new Problem('upstream_error', 'x', { status: 500, body, contentType: 'text/plain' })
  const { payload, properties } = problemReply(target, problem, bare)
  expect(payload).toBe(body)
  expect(properties.contentType).toBe('text/plain')
  expect(properties.payloadFormatIndicator).toBeUndefined()
  expect(properties.userProperties).toEqual(
    expect.arrayContaining(['status', '500', 'code', 'upstream_error']),
  )
})

test('answers a QoS 0 request with QoS 0', () => {
  expect(successReply({ ...target, qos: 0 }, response, bare).qos).toBe(0)
})
