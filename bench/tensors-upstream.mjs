// The model server of `npm run bench:tensors`: takes one FP32 tensor and answers with a tensor of four values, over HTTP
// (V2, JSON or binary) and over gRPC (V2).
import { createServer } from 'node:http2'
import {
  fieldsOf,
  framed,
  inferResponse,
  messagesIn,
  metadataResponse,
} from '../conformance/rig/grpc-wire.ts'
import { createUpstream, listen, readBody, sendJson } from './upstream-http.mjs'
import { answerCalls } from './worker.mjs'

const MODEL = '/v2/models/tensors'
const METADATA = JSON.stringify({
  name: 'tensors',
  platform: 'bench',
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, -1] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 4] }],
})
const OUTPUT = { name: 'y', datatype: 'FP32', shape: [1, 4] }
const HEADER_LENGTH = 'inference-header-content-length'
const GRPC_HEADERS = { ':status': 200, 'content-type': 'application/grpc' }
// The gRPC libraries of model servers enlarge these windows for large messages; node:http2 does not do so itself.
const STREAM_WINDOW_BYTES = 16 * 1024 * 1024
const SESSION_WINDOW_BYTES = 64 * 1024 * 1024

const http = createUpstream((request, response) => {
  if (request.method === 'GET') {
    if (request.url === MODEL) return sendJson(response, 200, METADATA)
    if (request.url === `${MODEL}/ready`) return sendJson(response, 200, '{"name":"tensors","ready":true}')
    return sendJson(response, 404, '{"error":"not found"}')
  }
  readBody(request, (body) => {
    const headerLength = request.headers[HEADER_LENGTH]
    if (headerLength === undefined) answerJson(response, JSON.parse(body.toString('utf8')).inputs[0].data)
    else answerBinary(response, floatsOf(body.subarray(Number(headerLength))))
  })
})

const grpc = createServer({ settings: { initialWindowSize: STREAM_WINDOW_BYTES } })
grpc.on('session', (session) => {
  session.setLocalWindowSize(SESSION_WINDOW_BYTES)
  session.on('error', () => {}) // The connector may close its connection at any time.
})
grpc.on('stream', (stream, headers) => {
  stream.on('error', () => {})
  readBody(stream, (body) => {
    const method = headers[':path'].split('/').at(-1)
    const [message] = messagesIn(body)
    if (message === undefined) return refuse(stream) // The connector asks whether the server has ModelStreamInfer.
    if (method === 'ModelReady') return finish(stream, Buffer.from([8, 1]))
    if (method === 'ModelMetadata') return finish(stream, metadataResponse('tensors', [OUTPUT]))
    const fields = fieldsOf(message)
    const raw = bytesOf(answerOf(floatsOf(contentsOf(fields))))
    finish(stream, inferResponse('tensors', fields.get(3)?.[0].toString() ?? '', [{ ...OUTPUT, raw }]))
  })
})

// Returns the bytes of the only input: from the raw contents or, if the request over MQTT was JSON, from the field
// fp32_contents of the tensor's contents, which may be packed or not (Protocol Buffers, "Packed repeated fields").
function contentsOf(fields) {
  const [raw] = fields.get(7) ?? []
  return raw ?? Buffer.concat(fieldsOf(fieldsOf(fields.get(5)[0]).get(5)[0]).get(6))
}

// Returns values that depend on the whole length of the tensor, so that the client can check that it has arrived.
function answerOf(values) {
  return [values.length, values[0], values[values.length >> 1], values.at(-1)]
}

function answerJson(response, values) {
  const outputs = [{ ...OUTPUT, data: answerOf(values) }]
  sendJson(response, 200, JSON.stringify({ model_name: 'tensors', outputs }))
}

function answerBinary(response, values) {
  const raw = bytesOf(answerOf(values))
  const outputs = [{ ...OUTPUT, parameters: { binary_data_size: raw.length } }]
  const json = Buffer.from(JSON.stringify({ model_name: 'tensors', outputs }))
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    'content-length': json.length + raw.length,
    [HEADER_LENGTH]: json.length,
  })
  response.end(Buffer.concat([json, raw]))
}

function finish(stream, message) {
  stream.respond(GRPC_HEADERS, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  stream.end(framed(message))
}

// Answers with the status UNIMPLEMENTED.
function refuse(stream) {
  stream.respond({ ...GRPC_HEADERS, 'grpc-status': '12' }, { endStream: true })
}

// Returns a view of the bytes, or a copy if their position does not allow a view.
function floatsOf(bytes) {
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 4 === 0 ? bytes : Uint8Array.from(bytes)
  return new Float32Array(buffer, byteOffset, byteLength / 4)
}

function bytesOf(values) {
  return Buffer.from(Float32Array.from(values).buffer)
}

answerCalls({
  /** Returns the two ports. */
  listen: async () => ({ http: await listen(http), grpc: await listen(grpc) }),
})
