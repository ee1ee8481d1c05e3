// Encodes messages with the prefix of gRPC: a flag (0 = not compressed), and the length as 32 bits.
import type { WireRequest } from '@inferwire/protocol'
import { MESSAGES, type Codec } from './inference-proto.ts'
import { PREFIX_BYTES } from './message-frames.ts'

// Up to this total size of the raw tensors, one buffer costs less than several buffers.
const COPIED_BYTES_MAX = 16 * 1024
const NO_BYTES: readonly Uint8Array[] = []
// Field 7 of ModelInferRequest, length-delimited.
const RAW_INPUT_TAG = (7 << 3) | 2

/** A message with its prefix, in parts that are sent one after the other. */
export type Frame = readonly Uint8Array[]

/** Encodes a message without large fields. */
export function writeFrame<Message>(codec: Codec<Message>, message: Message): Frame {
  const encoded = codec.encode(message)
  return [prefixOf(encoded.length), encoded]
}

/** Encodes a request. Large raw tensors are not copied: each follows its tag and length as a part of its own. */
export function writeRequestFrame(request: WireRequest): Frame {
  const { raw_input_contents: raw } = request
  const rawBytes = raw.reduce((bytes, tensor) => bytes + tensor.length, 0)
  if (rawBytes <= COPIED_BYTES_MAX) {
    const encoded = MESSAGES.request.encode(request)
    return [Buffer.concat([prefixOf(encoded.length), encoded])]
  }
  // The encoding of a message is the concatenation of its encoded fields, in any order.
  const head = MESSAGES.request.encode({ ...request, raw_input_contents: NO_BYTES })
  const fields = raw.flatMap((tensor) => [fieldHead(RAW_INPUT_TAG, tensor.length), tensor])
  const length = fields.reduce((bytes, field) => bytes + field.length, head.length)
  return [Buffer.concat([prefixOf(length), head]), ...fields]
}

function prefixOf(length: number): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES)
  prefix.writeUInt32BE(length, 1)
  return prefix
}

// A tag below 128 is one byte; the length is a varint (Protocol Buffers, "Base 128 Varints").
function fieldHead(tag: number, length: number): Uint8Array {
  const bytes = [tag]
  let rest = length
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  bytes.push(rest)
  return Uint8Array.from(bytes)
}
