// Messages of the gRPC inference service, encoded and decoded by hand, so that the checks cannot share a fault with the
// connector's codec.

/** A tensor with its data in the byte order of the protocol, little-endian. */
export interface GrpcTensor {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly raw: Buffer
}

const PREFIX_BYTES = 5

/** The fields of a decoded message, by number: numbers as bigint, all others as bytes. */
export type Fields = ReadonlyMap<number, readonly (bigint | Buffer)[]>

/** Encodes a ModelReadyRequest or a ModelMetadataRequest. */
export function namedModel(name: string): Buffer {
  return bytesField(1, Buffer.from(name))
}

/** Encodes a ModelInferRequest with raw tensors. */
export function inferRequest(model: string, id: string, tensors: readonly GrpcTensor[]): Buffer {
  return Buffer.concat([
    bytesField(1, Buffer.from(model)),
    bytesField(3, Buffer.from(id)),
    ...tensors.map((each) => bytesField(5, described(each))),
    ...tensors.map(({ raw }) => bytesField(7, raw)),
  ])
}

/** Encodes strings as the data of a BYTES tensor: each string is preceded by its length. */
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

/** Encodes a ModelInferResponse with raw tensors. */
export function inferResponse(model: string, id: string, tensors: readonly GrpcTensor[]): Buffer {
  return Buffer.concat([
    bytesField(1, Buffer.from(model)),
    bytesField(3, Buffer.from(id)),
    ...tensors.map((each) => bytesField(5, described(each))),
    ...tensors.map(({ raw }) => bytesField(6, raw)),
  ])
}

/** Encodes a ModelMetadataResponse. */
export function metadataResponse(model: string, inputs: readonly Omit<GrpcTensor, 'raw'>[]): Buffer {
  return Buffer.concat([
    bytesField(1, Buffer.from(model)),
    ...inputs.map((each) => bytesField(4, described(each))),
  ])
}

/** Returns a message with the prefix of gRPC over HTTP/2: one byte (compressed or not), four bytes (length). */
export function framed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES)
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

/** Returns the messages in a body. */
export function messagesIn(body: Buffer): Buffer[] {
  const messages: Buffer[] = []
  for (let at = 0; at < body.length;) {
    const end = at + PREFIX_BYTES + body.readUInt32BE(at + 1)
    messages.push(body.subarray(at + PREFIX_BYTES, end))
    at = end
  }
  return messages
}

function described({ name, datatype, shape }: Omit<GrpcTensor, 'raw'>): Buffer {
  return Buffer.concat([
    bytesField(1, Buffer.from(name)),
    bytesField(2, Buffer.from(datatype)),
    bytesField(3, Buffer.concat(shape.map((size) => varint(size)))),
  ])
}

function bytesField(field: number, value: Buffer): Buffer {
  return Buffer.concat([varint((field << 3) | 2), varint(value.length), value])
}

// A negative number takes ten bytes, as a 64-bit two's complement.
function varint(value: number): Buffer {
  const bytes: number[] = []
  let left = BigInt.asUintN(64, BigInt(value))
  for (; left > 0x7fn; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80)
  return Buffer.from([...bytes, Number(left)])
}
