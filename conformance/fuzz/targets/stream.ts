// Target: turns the server-sent events of a model server into parts, and checks the name of the model in a request.
import { findMembers, JsonSyntaxError, Problem, type Dialect, type OperationName } from '@inferwire/protocol'
import type { ReplyPart } from '../../../packages/connector/src/step.ts'
import { bytesOf, claim, joined, shapeOf, tokens, words, type FuzzTarget } from '../target.ts'
import { FakeUpstream, JSON_REQUEST } from './fake-upstream.ts'

const EVENT_BYTES_MAX = 1_000
const CODES = new Set([
  'upstream_error',
  'upstream_invalid_response',
  'stream_interrupted',
  'response_too_large',
])

const LIST = {
  status: 200,
  headers: [Buffer.from('content-type'), Buffer.from('application/json')],
  body: [Buffer.from('{"data":[{"id":"m"}]}')],
}

interface Outcome {
  readonly parts: readonly string[]
  readonly end: string
}

/** Fuzzes streams. Fields: the body of the response, then the body of a request. */
export const target: FuzzTarget = {
  name: 'stream',
  seedInputs: [
    joined('data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n', '{"model":"m"}'),
    joined('data: {"choices":[{"index":0,"text":"a","finish_reason":"stop"}]}\r\n\r\n', '{"stream":true}'),
    joined('data: {"error":{"message":"x","code":"400"}}\n\n', '{"a":[{"model":1}],"model":"m"}'),
    joined(': ping\n\nevent: error\ndata: {"message":"x"}\n\n', '{"Model":"m"}'),
    joined('data: {"choices":[],"usage":{"prompt_tokens":1}}\n\ndata: {', '{"a":"\\u0041"}'),
    joined('\ufeffdata: {\ndata: "a":1}\n\n', '[]'),
  ],
  dictionary: [
    ...words(
      'data: |event: error|: ping|data:|[DONE]|{"choices":[|{"index":0,|"delta":{"content":"a"}}',
      '|',
    ),
    ...words(
      '"finish_reason":"stop" "error": "code":"503" "usage": "model": "stream":true \\u006d { } [ ] ,',
    ),
    ...tokens('\n\n', '\r\n', '\r', [0xef, 0xbb, 0xbf], [0xff], [0xc3]),
  ],
  async run(input) {
    const [stream, body = Buffer.alloc(0)] = bytesOf(input, 2)
    const chat = await read(stream!, 'chat', 'openai')
    const plain = await read(stream!, 'infer_stream', 'v2')
    return [chat.end, chat.parts.length > 0, plain.end, plain.parts.length > 0, checkMembers(body)].join(' ')
  },
}

// Reads the stream in one piece, and byte by byte: the result must be the same.
async function read(stream: Buffer, operation: OperationName, dialect: Dialect): Promise<Outcome> {
  const whole = await ask([stream], operation, dialect)
  const divided = await ask(
    Array.from(stream, (byte) => Buffer.from([byte])),
    operation,
    dialect,
  )
  claim(JSON.stringify(whole) === JSON.stringify(divided), 'the result depends on the chunks')
  for (const part of whole.parts) {
    claim(part.length <= EVENT_BYTES_MAX, 'a part exceeds the limit')
    const lines = part.split('\n')
    const text = stream.toString('latin1')
    claim(
      lines.every((line) => text.includes(line)),
      'a part contains bytes that the server did not send',
    )
  }
  return whole
}

async function ask(chunks: readonly Buffer[], operation: OperationName, dialect: Dialect): Promise<Outcome> {
  const upstream = new FakeUpstream(EVENT_BYTES_MAX)
  upstream.answer = {
    status: 200,
    headers: [Buffer.from('content-type'), Buffer.from('text/event-stream')],
    body: chunks,
  }
  upstream.answerToGet = LIST
  const parts: string[] = []
  const emit = ({ body }: ReplyPart): void => void parts.push(Buffer.from(body).toString('latin1'))
  const deadline = { ...JSON_REQUEST.deadline }
  try {
    const { endsStream } = await upstream
      .endpoint(operation, dialect, 'm')
      .call({ ...JSON_REQUEST, deadline, emit })
    claim(endsStream === true, 'a stream ends without its end marker')
    return { parts, end: 'complete' }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    claim(CODES.has(error.code) || error.retryable || parts.length === 0, `a stream ends with ${error.code}`)
    return { parts, end: shapeOf(`${error.code} ${error.message}`) }
  }
}

// Compares the strict search with JSON.parse: the server must not find a different model in the body than the connector.
function checkMembers(body: Buffer): string {
  let parsed: unknown
  try {
    parsed = JSON.parse(body.toString())
  } catch {
    parsed = undefined
  }
  try {
    const { members } = findMembers(body, ['model'])
    claim(typeof parsed === 'object' && parsed !== null, 'the search accepts a body that JSON.parse rejects')
    const [place] = members.filter(({ name }) => name === 'model').slice(-1)
    const named =
      place === undefined ? undefined : (JSON.parse(body.toString('utf8', place.start, place.end)) as unknown)
    const expected = (parsed as { model?: unknown }).model
    claim(
      JSON.stringify(named) === JSON.stringify(expected),
      'the search and JSON.parse find different models',
    )
    return `members ${Math.min(members.length, 2)}`
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    return 'no object'
  }
}
