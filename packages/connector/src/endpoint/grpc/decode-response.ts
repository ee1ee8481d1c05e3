// Decodes the messages of model servers. A generated decoder creates an object for each field and each 64-bit
// integer. With such a decoder, even a message below the size limit could need gigabytes. Here, the number of
// objects is limited, and tensor values stay encoded bytes.
import { fromWireSize, type WireInteger, type WireParameter, type WireParameters } from '@inferwire/protocol'
import protobuf from 'protobufjs'
import { MESSAGES } from './inference-proto.ts'

/** InferOutputTensor, or TensorMetadata, which has only the first three of these fields. */
export interface DecodedTensor {
  readonly name: string
  readonly datatype: string
  /** -1 = variable. */
  readonly shape: readonly number[]
  readonly parameters: WireParameters
  readonly contents: PackedContents
}

/**
 * InferTensorContents by field number: the encoded values of a list, packed. The elements of `bytes_contents` (8) have
 * length prefixes, as in raw contents.
 */
export type PackedContents = ReadonlyMap<number, Uint8Array>

/** ModelInferResponse. Raw contents are views of the message. */
export interface DecodedResponse {
  readonly model_name: string
  readonly model_version: string
  readonly id: string
  readonly parameters: WireParameters
  readonly outputs: readonly DecodedTensor[]
  readonly raw_output_contents: readonly Uint8Array[]
}

/** ModelStreamInferResponse. */
export interface DecodedStreamResponse {
  readonly error_message: string
  readonly infer_response: DecodedResponse | undefined
}

/** ModelMetadataResponse. */
export interface DecodedMetadata {
  readonly name: string
  readonly versions: readonly string[]
  readonly platform: string
  readonly inputs: readonly DecodedTensor[]
  readonly outputs: readonly DecodedTensor[]
}

// The tensors, sizes in shapes, parameters and versions that a message may contain; far more than any model has.
const ITEMS_MAX = 10_000
// Wire types (Protocol Buffers, "Encoding").
const VARINT = 0
const FIXED64 = 1
const LENGTH = 2
const FIXED32 = 5

/** Decodes a ModelInferResponse. @throws Error if it is malformed, or has too many parts */
export function decodeResponse(encoded: Buffer): DecodedResponse {
  const items = new Items()
  const response = { model_name: '', model_version: '', id: '' }
  const parameters = noParameters()
  const outputs: DecodedTensor[] = []
  const raw: Uint8Array[] = []
  readFields(encoded, (field, reader) => {
    if (field === 1) response.model_name = reader.string()
    else if (field === 2) response.model_version = reader.string()
    else if (field === 3) response.id = reader.string()
    else if (field === 4) readParameter(parameters, reader.bytes(), items)
    else if (field === 5) outputs.push(readTensor(reader.bytes(), items))
    else if (field === 6) raw.push(items.taken(reader.bytes()))
    else return false
    return true
  })
  return { ...response, parameters, outputs, raw_output_contents: raw }
}

/** Decodes a ModelStreamInferResponse. @throws Error as `decodeResponse` does */
export function decodeStreamResponse(encoded: Buffer): DecodedStreamResponse {
  let error_message = ''
  let infer_response: DecodedResponse | undefined
  readFields(encoded, (field, reader) => {
    if (field === 1) error_message = reader.string()
    else if (field === 2) infer_response = decodeResponse(reader.bytes() as Buffer)
    else return false
    return true
  })
  return { error_message, infer_response }
}

/** Decodes a ModelMetadataResponse. @throws Error as `decodeResponse` does */
export function decodeMetadata(encoded: Buffer): DecodedMetadata {
  const items = new Items()
  const model = { name: '', platform: '' }
  const versions: string[] = []
  const inputs: DecodedTensor[] = []
  const outputs: DecodedTensor[] = []
  readFields(encoded, (field, reader) => {
    if (field === 1) model.name = reader.string()
    else if (field === 2) versions.push(items.taken(reader.string()))
    else if (field === 3) model.platform = reader.string()
    else if (field === 4) inputs.push(readTensor(reader.bytes(), items))
    else if (field === 5) outputs.push(readTensor(reader.bytes(), items))
    else return false
    return true
  })
  return { ...model, versions, inputs, outputs }
}

/** Whether a message has a field with a number above `number`. @throws Error if it is malformed */
export function hasFieldAbove(number: number, encoded: Buffer): boolean {
  const reader = protobuf.Reader.create(encoded)
  let isAbove = false
  while (reader.pos < reader.len) {
    const tag = reader.uint32()
    isAbove ||= tag >>> 3 > number
    reader.skipType(tag & 7)
  }
  return isAbove
}

class Items {
  #left = ITEMS_MAX

  // Counts a part of the message, and returns it.
  taken<Item>(item: Item): Item {
    this.#left -= 1
    if (this.#left < 0) throw new Error(`more than ${ITEMS_MAX} tensors, sizes and parameters`)
    return item
  }
}

// Calls `read` for each length-delimited field. Skips other fields, and the fields for which `read` returns false.
function readFields(encoded: Uint8Array, read: (field: number, reader: protobuf.Reader) => boolean): void {
  const reader = protobuf.Reader.create(encoded)
  while (reader.pos < reader.len) {
    const tag = reader.uint32()
    if ((tag & 7) !== LENGTH || !read(tag >>> 3, reader)) reader.skipType(tag & 7)
  }
}

function readTensor(encoded: Uint8Array, items: Items): DecodedTensor {
  items.taken(encoded)
  const parameters = noParameters()
  const shape: number[] = []
  let name = ''
  let datatype = ''
  let contents: PackedContents = new Map()
  const readSize = (reader: protobuf.Reader): void => {
    shape.push(items.taken(fromWireSize(reader.int64() as unknown as WireInteger)))
  }
  const reader = protobuf.Reader.create(encoded)
  while (reader.pos < reader.len) {
    const tag = reader.uint32()
    const [field, wireType] = [tag >>> 3, tag & 7]
    if (field === 3 && wireType === VARINT) readSize(reader)
    else if (wireType !== LENGTH || field < 1 || field > 5) reader.skipType(wireType)
    else if (field === 1) name = reader.string()
    else if (field === 2) datatype = reader.string()
    else if (field === 3) {
      const sizes = protobuf.Reader.create(reader.bytes())
      while (sizes.pos < sizes.len) readSize(sizes)
    } else if (field === 4) readParameter(parameters, reader.bytes(), items)
    else contents = readContents(reader.bytes())
  }
  return { name, datatype, shape, parameters, contents }
}

// Without a prototype, `__proto__` is a name like any other.
function noParameters(): Record<string, WireParameter> {
  return Object.create(null) as Record<string, WireParameter>
}

// An entry of a map is a message with the fields key (1) and value (2).
function readParameter(parameters: Record<string, WireParameter>, entry: Uint8Array, items: Items): void {
  let key = ''
  let value: Uint8Array = Buffer.alloc(0)
  readFields(items.taken(entry), (field, reader) => {
    if (field === 1) key = reader.string()
    else if (field === 2) value = reader.bytes()
    else return false
    return true
  })
  parameters[key] = MESSAGES.parameter.decode(value as Buffer)
}

// By field number.
const WIRE_TYPES: readonly (number | undefined)[] = [
  undefined,
  ...Array<number>(5).fill(VARINT),
  FIXED32,
  FIXED64,
]
const BYTES_CONTENTS = 8

function readContents(encoded: Uint8Array): PackedContents {
  const lists = new Map<number, PackedList>()
  const reader = protobuf.Reader.create(encoded)
  while (reader.pos < reader.len) {
    const tag = reader.uint32()
    const [field, wireType] = [tag >>> 3, tag & 7]
    const valueType = WIRE_TYPES[field]
    const isElement = field === BYTES_CONTENTS && wireType === LENGTH
    if (!isElement && (valueType === undefined || (wireType !== valueType && wireType !== LENGTH))) {
      reader.skipType(wireType)
      continue
    }
    let list = lists.get(field)
    if (list === undefined) lists.set(field, (list = new PackedList(encoded)))
    const length = wireType === LENGTH ? reader.uint32() : undefined
    const start = reader.pos
    if (length === undefined) reader.skipType(wireType)
    else reader.skip(length)
    if (isElement) list.addElement(start, reader.pos)
    else list.add(start, reader.pos)
  }
  return new Map([...lists].map(([field, list]) => [field, list.bytes]))
}

// Below this length, a loop is faster than a view of the bytes.
const COPIED_BYTE_BY_BYTE_MAX = 16

// The values of one list: usually one packed chunk, which is not copied. A server may also send values one by one.
class PackedList {
  readonly #source: Uint8Array
  #bytes: Uint8Array = Buffer.alloc(0)
  #length = 0

  constructor(source: Uint8Array) {
    this.#source = source
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  // Adds a part of the source.
  add(start: number, end: number): void {
    if (this.#length === 0) {
      this.#bytes = this.#source.subarray(start, end)
      this.#length = end - start
    } else this.#append(start, end)
  }

  // Adds the length of a part of the source, then the part itself.
  addElement(start: number, end: number): void {
    const length = end - start
    this.#grow(4)
    for (let shift = 0; shift < 32; shift += 8) this.#bytes[this.#length++] = length >>> shift
    this.#append(start, end)
  }

  #append(start: number, end: number): void {
    this.#grow(end - start)
    if (end - start > COPIED_BYTE_BY_BYTE_MAX) {
      this.#bytes.set(this.#source.subarray(start, end), this.#length)
      this.#length += end - start
    } else for (let at = start; at < end; at++) this.#bytes[this.#length++] = this.#source[at]!
  }

  #grow(bytes: number): void {
    const length = this.#length + bytes
    if (length <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#source.length, 2 * length))
    grown.set(this.bytes)
    this.#bytes = grown
  }
}
