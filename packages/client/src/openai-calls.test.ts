import { expect, test } from 'vitest'
import { chunkReader, toGenerationBody } from './openai-calls.ts'
import { StreamPart } from './stream-part.ts'

const read = (text: string): unknown =>
  chunkReader('llm').read(
    new StreamPart('llm', 3, { topic: 't', payload: new TextEncoder().encode(text), properties: {} }),
  )

test('sets the member model to the model in the topic, unless the caller sets another model', () => {
  expect(toGenerationBody('llm', { messages: [] }, undefined)).toEqual({ model: 'llm', messages: [] })
  expect(toGenerationBody('llm', { model: 'other', stream: true }, false)).toEqual({
    model: 'other',
    stream: false,
  })
})

test('returns a chunk unchanged', () => {
  expect(read('{"choices":[],"error":null,"x":1}')).toEqual({ choices: [], error: null, x: 1 })
})

test.each([
  ['{"error":{"message":"overheated","code":503}}', { message: 'overheated', status: 503 }],
  ['{"error":{"message":"bad","code":"oops"}}', { message: 'bad', status: 502 }],
  ['{"error":"plain"}', { message: 'plain', status: 502 }],
  ['{"error":{}}', { message: 'The stream contains an error.' }],
])('throws the error in the chunk %s', (text, expected) => {
  const failing = expect.objectContaining({ ...expected, code: 'upstream_error', model: 'llm' }) as unknown
  expect(() => read(text)).toThrow(failing as Error)
})

test.each([
  ['[1]', /did not send a JSON object/],
  ['{', /Part 3 of the stream of model "llm" is not JSON/],
])('rejects the chunk %s', (text, message) => {
  expect(() => read(text)).toThrow(message)
  expect(() => read(text)).toThrow(expect.objectContaining({ code: 'upstream_invalid_response' }))
})
