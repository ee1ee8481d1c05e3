// A gRPC client for the inference service on node:http2, with its own encoder and decoder: the checker of servers and
// of the connector must not share a fault with the connector.
import { connect, type IncomingHttpHeaders } from 'node:http2'

/** A tensor of a request: its data in the server's byte order, little-endian. */
export interface GrpcTensor {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly raw: Buffer
}

/** The end of a call. */
export interface GrpcAnswer {
  /** The status code, such as 0 (OK) or 5 (NOT_FOUND). */
  readonly status: number
  /** The status message, percent-decoded. */
  readonly message: string
  /** The messages of the answer: one, or any number for a stream. */
  readonly messages: readonly Buffer[]
}

/** The fields of a decoded message, by number: numbers as bigint, all others as bytes. */
export type Fields = ReadonlyMap<number, readonly (bigint | Buffer)[]>

const SERVICE = '/inference.GRPCInferenceService'
const TIMEOUT_MS = 10_000
// gRPC over HTTP/2: one byte (compressed or not), four bytes (length), then the message.
const PREFIX_BYTES = 5

/** Calls a method with one message, and ends the request. @throws if the connection breaks */
export function callGrpc(url: string, method: string, message: Buffer): Promise<GrpcAnswer> {
  return new Promise((resolve, reject) => {
    const session = connect(url)
    session.on('error', reject)
    const stream = session.request({
      ':method': 'POST',
      ':path': `${SERVICE}/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    stream.setTimeout(TIMEOUT_MS, () =>
      stream.destroy(new Error(`${method} had no answer in ${TIMEOUT_MS} ms.`)),
    )
    stream.on('error', reject)
    const chunks: Buffer[] = []
    let end: IncomingHttpHeaders = {}
    // An error before the first message has its status in the headers, without trailers.
    stream.on('response', (headers) => (end = headers))
    stream.on('trailers', (trailers) => (end = trailers))
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('close', () => {
      session.close()
      const text = end['grpc-message'] as string | undefined
      resolve({
        status: Number(end['grpc-status']),
        message: decodeURIComponent(text ?? ''),
        messages: messagesIn(Buffer.concat(chunks)),
      })
    })
    const prefix = Buffer.alloc(PREFIX_BYTES)
    prefix.writeUInt32BE(message.length, 1)
    stream.end(Buffer.concat([prefix, message]))
  })
}

/** Encodes a ModelReadyRequest or a ModelMetadataRequest. */
export function namedModel(name: string): Buffer {
  return bytesField(1, Buffer.from(name))
}

/** Encodes a ModelInferRequest with raw tensors. */
export function inferRequest(model: string, id: string, tensors: readonly GrpcTensor[]): Buffer {
  return Buffer.concat([
    bytesField(1, Buffer.from(model)),
    bytesField(3, Buffer.from(id)),
    ...tensors.map(({ name, datatype, shape }) =>
      bytesField(
        5,
        Buffer.concat([
          bytesField(1, Buffer.from(name)),
          bytesField(2, Buffer.from(datatype)),
          bytesField(3, Buffer.concat(shape.map((size) => varint(size)))),
        ]),
      ),
    ),
    ...tensors.map(({ raw }) => bytesField(7, raw)),
  ])
}

/** Encodes strings as the data of a BYTES tensor: each after its length. */
export function bytesTensor(texts: readonly string[]): Buffer {
  return Buffer.concat(
    texts.map((text) => {
      const length = Buffer.alloc(4)
      length.writeUInt32LE(Buffer.byteLength(text))
      return Buffer.concat([length, Buffer.from(text)])
    }),
  )
}

/** Decodes a message. @throws RangeError if it ends in the middle of a field */
export function fieldsOf(message: Buffer): Fields {
  const fields = new Map<number, (bigint | Buffer)[]>()
  let at = 0
  const readVarint = (): bigint => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = message.readUInt8(at++)
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  const readBytes = (length: number): Buffer => {
    at += length
    if (at > message.length) throw new RangeError('The message ends in the middle of a field.')
    return message.subarray(at - length, at)
  }
  while (at < message.length) {
    const tag = Number(readVarint())
    const type = tag & 7
    const value =
      type === 0 ? readVarint() : readBytes(type === 2 ? Number(readVarint()) : type === 1 ? 8 : 4)
    fields.set(tag >> 3, [...(fields.get(tag >> 3) ?? []), value])
  }
  return fields
}

function messagesIn(body: Buffer): Buffer[] {
  const messages: Buffer[] = []
  for (let at = 0; at < body.length;) {
    const end = at + PREFIX_BYTES + body.readUInt32BE(at + 1)
    messages.push(body.subarray(at + PREFIX_BYTES, end))
    at = end
  }
  return messages
}

function bytesField(field: number, value: Buffer): Buffer {
  return Buffer.concat([varint((field << 3) | 2), varint(value.length), value])
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let left = value
  for (; left > 0x7f; left = Math.floor(left / 128)) bytes.push((left % 128) | 0x80)
  return Buffer.from([...bytes, left])
}
