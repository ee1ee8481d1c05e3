import { expect, test } from 'vitest'
import { InferwireError } from './error.ts'
import { readReply, type ReplyFacts } from './reply.ts'

const facts = { model: 'iris', operation: 'predict', attempts: 2, durationMs: 5 }
const replyOf = (
  payload: Uint8Array,
  userProperties?: string[],
  contentType?: string,
  known: ReplyFacts = facts,
) =>
  readReply(
    {
      topic: 't',
      payload,
      properties: {
        ...(userProperties === undefined ? {} : { userProperties }),
        ...(contentType === undefined ? {} : { contentType }),
      },
    },
    known,
  )
const reply = (payload: string, userProperties?: string[], contentType?: string) =>
  replyOf(new TextEncoder().encode(payload), userProperties, contentType)
const failure = (payload: string, userProperties?: string[]): InferwireError => {
  try {
    reply(payload, userProperties)
  } catch (error) {
    return error as InferwireError
  }
  throw new Error('It was not an error.')
}

test('a reply has status, body and timing', () => {
  const user = ['status', '200', 'server-timing', 'queue;dur=0.4', 'x', '1', 'x', '2']
  const answer = reply('{"predictions":[1]}', user, 'application/json')
  expect(answer).toMatchObject({
    status: 200,
    code: undefined,
    contentType: 'application/json',
    serverTiming: 'queue;dur=0.4',
    attempts: 2,
    durationMs: 5,
  })
  expect(answer.json()).toEqual({ predictions: [1] })
  expect(answer.text()).toBe('{"predictions":[1]}')
  expect(answer.headers['x']).toBe('1')
})

test('only json() throws for a body that is not JSON', () => {
  const answer = reply('<html>', ['status', '200'], 'text/html')
  expect(answer.contentType).toBe('text/html')
  expect(() => answer.json()).toThrow(/reply of model "iris" is not JSON \(text\/html\)/)
})

test('an error reply becomes an error with all members that the contract defines', () => {
  const error = failure(
    '{"error":"busy","code":"overloaded","status":429,"retryable":true,"retry_after_ms":250}',
    ['status', '429', 'code', 'overloaded'],
  )
  expect(error).toBeInstanceOf(InferwireError)
  expect(error).toMatchObject({
    name: 'InferwireError',
    message: 'busy',
    code: 'overloaded',
    status: 429,
    retryable: true,
    retryAfterMs: 250,
    model: 'iris',
  })
  expect(new TextDecoder().decode(error.body)).toContain('busy')
})

test.each([
  ['{"error":"bad shape"}', ['status', '400', 'code', 'upstream_error'], 'bad shape', 'upstream_error', 400],
  ['{"error":{"message":"no such model"}}', ['status', '404'], 'no such model', 'upstream_error', 404],
  ['{"detail":"x"}', ['status', '422', 'code', 'upstream_error'], '{"detail":"x"}', 'upstream_error', 422],
  ['Bad Gateway', ['status', '502'], 'Bad Gateway', 'upstream_error', 502],
  [
    '',
    ['status', '500', 'code', 'internal'],
    'Model "iris" returned status 500 without a message.',
    'internal',
    500,
  ],
  ['{"error":"new"}', ['status', '418', 'code', 'from_the_future'], 'new', 'from_the_future', 418],
])("reads the model server's error format %s", (payload, user, message, code, status) => {
  expect(failure(payload, user)).toMatchObject({ message, code, status, retryable: code === 'internal' })
})

test('in a reply without properties, a body is an error only if it has every characteristic of an error', () => {
  expect(reply('{"predictions":[1]}')).toMatchObject({ status: 200, contentType: undefined })
  expect(reply('not JSON').status).toBe(200)
  expect(reply('{"error":"bearing worn","confidence":0.8}').json()).toEqual({
    error: 'bearing worn',
    confidence: 0.8,
  })
  expect(failure('{"error":"gone","code":"model_not_found","status":404}')).toMatchObject({
    code: 'model_not_found',
    status: 404,
  })
  for (const body of [
    '{"error":"from the model server"}',
    '\n {"error":"x"}',
    '{"detail":[{"loc":["body"]}]}',
  ]) {
    expect(failure(body)).toMatchObject({ code: 'upstream_error', status: 502 })
  }
})

test('a reply with a success status may have a member "error"', () => {
  expect(reply('{"error":"the measured error"}', ['status', '200']).status).toBe(200)
})

test.each([undefined, '', 'abc', '0', '100', '199', '302', '99999', '-200', '2e2', 'constructor'])(
  'a reply with properties but without a valid status fails with upstream_invalid_response: %j',
  (status) => {
    const user = status === undefined ? ['server-timing', 'x'] : ['status', status]
    expect(failure('{"predictions":[1]}', user)).toMatchObject({
      code: 'upstream_invalid_response',
      status: 502,
      retryable: false,
    })
  },
)

test('does not accept one part of a multi-part reply as the complete reply', () => {
  expect(failure('{"predictions":[1]}', ['seq', '0'])).toMatchObject({ code: 'upstream_invalid_response' })
})

test('throws upstream_invalid_response for a body that is not UTF-8, and does not insert replacement characters', () => {
  const latin1 = new Uint8Array([0x22, 0xe9, 0x22])
  const answer = (contentType?: string) => replyOf(latin1, ['status', '200'], contentType)
  for (const read of [() => answer().text(), () => answer().json(), () => answer('text/plain').text()]) {
    expect(read).toThrow(expect.objectContaining({ code: 'upstream_invalid_response' }))
  }
  expect(() => answer('text/plain; charset=no-such').text()).toThrow(/not text in no-such/)
  expect(answer('text/plain; charset="ISO-8859-1"').text()).toBe('"é"')
  expect(answer().body).toBe(latin1)
})

test.each([
  ['1e308', 2_147_483_647],
  ['1e400', 2_147_483_647],
  ['250.5', 250.5],
  ['-1', undefined],
  ['"5"', undefined],
])('reads retry_after_ms %s as %s, within the range of a timer', (said, retryAfterMs) => {
  const body = `{"error":"busy","retry_after_ms":${said}}`
  expect(failure(body, ['status', '429', 'code', 'overloaded']).retryAfterMs).toBe(retryAfterMs)
})

const empty = (operation: string) =>
  replyOf(new Uint8Array(0), ['status', '200'], undefined, { ...facts, operation })

test('json() accepts an empty body in a readiness reply, but throws for an empty body in a prediction reply', () => {
  expect(empty('ready').json()).toBeUndefined()
  expect(empty('ready')).toMatchObject({ contentType: undefined, status: 200 })
  expect(empty('ready').text()).toBe('')
  for (const operation of ['predict', 'metadata']) {
    expect(() => empty(operation).json()).toThrow(/is not JSON: it is empty/)
  }
})

test('text() keeps the digits that json() rounds', () => {
  const answer = reply('{"predictions":[9007199254740993,1e400]}', ['status', '200'])
  expect(answer.text()).toBe('{"predictions":[9007199254740993,1e400]}')
  expect(answer.json()).toEqual({ predictions: [9007199254740992, Infinity] })
})
