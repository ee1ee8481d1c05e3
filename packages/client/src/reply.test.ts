import { expect, test } from 'vitest'
import { InferwireError } from './error.ts'
import { readReply } from './reply.ts'

const facts = { model: 'iris', attempts: 2, durationMs: 5 }
const reply = (payload: string, userProperties?: string[], contentType?: string) =>
  readReply(
    {
      topic: 't',
      payload: new TextEncoder().encode(payload),
      properties: {
        ...(userProperties === undefined ? {} : { userProperties }),
        ...(contentType === undefined ? {} : { contentType }),
      },
    },
    facts,
  )
const failure = (payload: string, userProperties?: string[]): InferwireError => {
  try {
    reply(payload, userProperties)
  } catch (error) {
    return error as InferwireError
  }
  throw new Error('It was no error.')
}

test('an answer has its status, body and timing', () => {
  const answer = reply('{"predictions":[1]}', [
    'status',
    '200',
    'server-timing',
    'queue;dur=0.4',
    'x',
    '1',
    'x',
    '2',
  ])
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

test('a body that is not JSON says so only when it is asked for JSON', () => {
  const answer = reply('<html>', ['status', '200'], 'text/html')
  expect(answer.contentType).toBe('text/html')
  expect(() => answer.json()).toThrow(/answer of model "iris" is not JSON \(text\/html\)/)
})

test('an error reply carries what the contract says', () => {
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
  ['', ['status', '500', 'code', 'internal'], 'Model "iris" answered 500 without a text.', 'internal', 500],
  ['{"error":"new"}', ['status', '418', 'code', 'from_the_future'], 'new', 'from_the_future', 418],
])('the model server’s own error: %s', (payload, user, message, code, status) => {
  expect(failure(payload, user)).toMatchObject({ message, code, status, retryable: code === 'internal' })
})

test('without properties the body tells an error from an answer', () => {
  expect(reply('{"predictions":[1]}').status).toBe(200)
  expect(reply('not JSON').status).toBe(200)
  expect(failure('{"error":"gone","code":"model_not_found","status":404}')).toMatchObject({
    code: 'model_not_found',
    status: 404,
  })
  expect(failure('{"error":"from the model server"}')).toMatchObject({ code: 'upstream_error', status: 502 })
})

test('a successful answer may have a member "error" where the status says so', () => {
  expect(reply('{"error":"the measured error"}', ['status', '200']).status).toBe(200)
})

test('a status that is none is no status', () => {
  expect(reply('{}', ['status', 'constructor']).status).toBe(200)
  expect(reply('{}', ['status', '99999']).status).toBe(200)
})
