// Target: turns responses over gRPC into V2 bodies, stream parts or Problems.
import { isUtf8 } from 'node:buffer'
import { Problem, type OperationName, type WireResponse } from '@inferwire/protocol'
import { MESSAGES } from '../../../packages/connector/src/internal.ts'
import type { EndpointResponse, ReplyPart } from '../../../packages/connector/src/step.ts'
import type { Random } from '../../fixtures/random.ts'
import { bytesOf, claim, joined, shapeOf, tokens, words, type FuzzTarget } from '../target.ts'
import { grpcEndpoint } from './fake-grpc.ts'
import { JSON_REQUEST } from './fake-upstream.ts'

const RESPONSE_BYTES_MAX = 3_000
const PREFIX_BYTES = 5
const BINARY = '{"inputs":[],"parameters":{"binary_data_output":true}}'
const REQUESTS: readonly (readonly [OperationName, string])[] = [
  ['infer', '{"inputs":[]}'],
  ['infer', BINARY],
  ['infer_stream', BINARY],
  ['metadata', ''],
  ['ready', ''],
]
const CODES = new Set([
  'upstream_error',
  'upstream_invalid_response',
  'upstream_unreachable',
  'unauthorized_upstream',
  'response_too_large',
  'model_not_ready',
  'overloaded',
  'deadline_exceeded',
  'stream_interrupted',
])

const HEADERS = '200\ncontent-type: application/grpc'
const OK = `${HEADERS}\n\ngrpc-status: 0`

type WireOutput = Partial<WireResponse['outputs'][number]>
const response = (outputs: readonly WireOutput[], raw: readonly Uint8Array[] = []): WireResponse => ({
  model_name: 'm',
  model_version: '1',
  id: 'r',
  parameters: { p: { string_param: 'x' } },
  outputs: outputs.map((output) => ({ name: 'y', datatype: 'FP32', shape: [1], parameters: {}, ...output })),
  raw_output_contents: raw,
})
const encoded = (...given: Parameters<typeof response>): Buffer =>
  MESSAGES.response.encode(response(...given))
const metadata = MESSAGES.metadata.encode({
  name: 'm',
  versions: ['1'],
  platform: 'onnx',
  inputs: [{ name: 'x', datatype: 'FP32', shape: [{ low: -1, high: -1 }] }],
  outputs: [],
})
const ONE = { contents: { fp32_contents: [1] } }
const floats = (...values: number[]): Buffer => Buffer.from(Float32Array.from(values).buffer)

/** Returns an input whose body consists of these messages. */
function answer(head: string, ...messages: readonly Uint8Array[]): Buffer {
  return joined(head, Buffer.concat(messages.map(framed)))
}

function framed(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES)
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

/** Fuzzes responses. Fields: status and headers, an empty line, and the trailers; then the body. */
export const target: FuzzTarget = {
  name: 'grpc',
  seedInputs: [
    answer(OK, encoded([ONE])),
    answer(OK, encoded([{}], [floats(Number.NaN)])),
    answer(
      OK,
      encoded([{ datatype: 'BYTES', shape: [2], contents: { bytes_contents: [floats(1), floats()] } }]),
    ),
    answer(OK, encoded([{ datatype: 'INT64', contents: { int64_contents: [{ low: -1, high: 1 }] } }])),
    answer(OK, encoded([{ datatype: 'BOOL', contents: { bool_contents: [true] } }])),
    answer(OK, encoded([{ datatype: 'INT8', contents: { int_contents: [-7] } }])),
    answer(OK, encoded([{ datatype: 'BYTES' }], [Buffer.from([1, 0, 0, 0, 0x61])])),
    answer(OK, encoded([{ datatype: 'FP16', shape: [1, 1] }], [Buffer.from([0, 0x3c])])),
    answer(OK, MESSAGES.streamResponse.encode({ error_message: '', infer_response: response([ONE]) })),
    answer(OK, MESSAGES.streamResponse.encode({ error_message: 'boom' })),
    answer(OK, encoded([ONE]), encoded([ONE])),
    answer(OK, metadata),
    answer(OK, MESSAGES.ready.encode({ ready: true })),
    answer(OK),
    answer(HEADERS, encoded([ONE])),
    answer(`${HEADERS}\n\ngrpc-status: 14\ngrpc-message: no%20healthy%20upstream`),
    answer(`${HEADERS}\ngrpc-status: 5\ngrpc-message: Model%20with%20name%20m%20does%20not%20exist.`),
    answer(`${HEADERS}\n\ngrpc-status: 13\ngrpc-message: boom`, encoded([ONE])),
    answer(`${HEADERS}\ngrpc-status: 2\nlocation: /dex/auth?state=x`),
    answer(`${HEADERS}\ngrpc-status: 7\ngrpc-message: %3C!DOCTYPE%20html%3E`),
    answer(
      `${HEADERS}\ngrpc-status: 16\nwww-authenticate: Bearer error="invalid_token"\ngrpc-message: Jwt%20is%20expired`,
    ),
    answer(`${HEADERS}\ngrpc-status: 14\nx-envoy-overloaded: true`),
    joined('502\ncontent-type: text/html', '<html>502</html>'),
    joined('302\nlocation: https://h/login', ''),
  ],
  dictionary: [
    ...words(
      'content-type: |application/grpc|text/html|grpc-status: |grpc-message: |location: |www-authenticate: |x-envoy-upstream-service-time: 1|x-envoy-overloaded: true|RBAC: access denied|Jwt is expired|%zz|%00|Request for unknown model: |received message larger than max',
      '|',
    ),
    ...words('FP32 FP64 FP16 BF16 BYTES BOOL INT8 INT32 INT64 UINT8 UINT64 binary_data_size __proto__ error'),
    ...words('200 204 301 401 403 404 502 503 8 13 14 16 99'),
    ...tokens(
      [0, 0, 0, 0, 0],
      [1, 0, 0, 0, 1],
      [0, 0xff, 0xff, 0xff, 0xff],
      [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
      [0x2a, 0x00],
      [0x32, 0x04, 0, 0, 0x80, 0x3f],
      [0x1a, 0x01, 0x01],
      [0x18, 0x7f],
      [0x2a, 0x06, 0x32, 0x04, 0, 0, 0x80, 0x3f],
    ),
  ],
  // Each response is also read byte by byte.
  inputBytesMax: 1_024,
  mutate: reframed,
  async run(input) {
    const [head, body = Buffer.alloc(0)] = bytesOf(input, 2)
    const [first = '', last = ''] = head!.toString('latin1').split('\n\n')
    const [status = '', ...lines] = first.split('\n')
    const headers = { ':status': /^[2-9]\d\d$/.test(status) ? status : '200', ...fieldsIn(lines) }
    const ends: string[] = []
    for (const [operation, request] of REQUESTS) {
      const read = (chunks: readonly Buffer[]): Promise<Outcome> =>
        ask(operation, request, { headers, body: chunks, trailers: fieldsIn(last.split('\n')) })
      const whole = await read(body.length === 0 ? [] : [body])
      const divided = await read(Array.from(body, (byte) => Buffer.from([byte])))
      claim(
        JSON.stringify(whole) === JSON.stringify(divided),
        `${operation}: the result depends on the chunks in which the bytes arrive`,
      )
      ends.push(`${whole.end} ${Math.min(whole.bodies.length, 2)}`)
      if (operation === 'infer' && request !== BINARY && whole.end === 'complete')
        checkMembers(whole.bodies[0]!, body)
    }
    return ends.join(', ')
  },
}

// Half of the mutated bodies get a correct length, because an input with a wrong one ends before the message is decoded.
function reframed(input: Buffer, random: Random): Buffer {
  const [head, body] = bytesOf(input, 2)
  if (body === undefined || body.length < PREFIX_BYTES || random.chance(0.5)) return input
  return joined(head!, framed(body.subarray(PREFIX_BYTES)))
}

// A name and a value as node:http2 passes them. A repeated name does not occur.
function fieldsIn(lines: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    if (colon > 0 && /^[a-z-]+$/.test(name)) fields[name] = line.slice(colon + 1).trim()
  }
  return fields
}

interface Outcome {
  /** The answer or the parts: the text of the JSON, and the binary tensors in hexadecimal. */
  readonly bodies: readonly string[]
  readonly end: string
}

async function ask(
  operation: OperationName,
  requestBody: string,
  answer: Parameters<typeof grpcEndpoint>[1],
): Promise<Outcome> {
  const bodies: string[] = []
  const emit = ({ body, contentType }: ReplyPart): void => {
    claim(contentType === 'application/json', 'a part is not JSON')
    bodies.push(checkJson(body))
  }
  const deadline = { ...JSON_REQUEST.deadline }
  const request = { ...JSON_REQUEST, body: Buffer.from(requestBody), deadline, emit }
  try {
    const response = await grpcEndpoint(operation, answer, RESPONSE_BYTES_MAX).call(request)
    if (operation !== 'infer_stream') bodies.push(checkAnswer(response))
    else claim(response.endsStream === true, 'a stream ends without its end marker')
    return { bodies, end: 'complete' }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    checkProblem(error)
    claim(
      error.code !== 'stream_interrupted' || bodies.length > 0,
      'a stream without parts counts as interrupted',
    )
    return { bodies, end: shapeOf(`${error.code} ${Math.floor(error.status / 100)}`) }
  }
}

function checkAnswer({ status, body, contentType, inferenceHeaderContentLength }: EndpointResponse): string {
  claim(status === 200, 'an answer does not have the status 200')
  claim(body.length <= RESPONSE_BYTES_MAX, 'an answer is larger than its limit')
  if (inferenceHeaderContentLength === undefined) {
    claim(contentType === 'application/json', 'an answer without a header length is not JSON')
    return checkJson(body)
  }
  const length = Number(inferenceHeaderContentLength)
  claim(length > 0 && length <= body.length, 'the header length is outside of the body')
  const text = checkJson(body.subarray(0, length))
  const { outputs } = JSON.parse(text) as { outputs: { parameters: { binary_data_size: number } }[] }
  const size = outputs.reduce((sum, { parameters }) => sum + parameters.binary_data_size, length)
  claim(size === body.length, 'the body does not have the announced length')
  return text + Buffer.from(body.subarray(length)).toString('hex')
}

function checkJson(body: Uint8Array): string {
  claim(body.length <= RESPONSE_BYTES_MAX, 'an answer is larger than its limit')
  claim(isUtf8(body), 'an answer is not UTF-8')
  const text = Buffer.from(body).toString()
  JSON.parse(text)
  return text
}

function checkProblem({ code, status, message, detail = '', retryAfterMs = 0, body }: Problem): void {
  claim(CODES.has(code), `an answer became ${code}`)
  claim(Number.isInteger(status) && status >= 400 && status <= 599, `a problem has the status ${status}`)
  claim(
    message !== '' && message.length <= 1000 && detail.length <= 1500,
    'the length of a problem message is unbounded',
  )
  claim(retryAfterMs >= 0 && retryAfterMs <= 86_400_000, 'the time until a retry is unbounded')
  claim(body === undefined || isUtf8(body), 'the body of an error is not UTF-8')
}

// A message that the generated encoder would write in the same way has only one meaning, which must be in the answer.
function checkMembers(answer: string, body: Buffer): void {
  const reference = canonical(body.subarray(PREFIX_BYTES))
  if (reference === undefined) return
  const read = JSON.parse(answer) as {
    model_name: string
    id?: string
    outputs: { name: string; datatype: string; data: unknown[] }[]
  }
  claim(
    read.model_name === reference.model_name && (read.id ?? '') === reference.id,
    'an answer has another model or id than the message',
  )
  claim(named(read.outputs) === named(reference.outputs), 'an answer has other outputs than the message')
}

function named(outputs: readonly { readonly name: string; readonly datatype: string }[]): string {
  return JSON.stringify(outputs.map(({ name, datatype }) => [name, datatype]))
}

function canonical(message: Buffer): WireResponse | undefined {
  try {
    const decoded = MESSAGES.response.decode(message)
    return message.equals(MESSAGES.response.encode(decoded)) ? decoded : undefined
  } catch {
    // The generated decoder ignores the types of fields, and therefore rejects some messages that have unknown fields.
    return undefined
  }
}
