// The bytes of a tensor of any V2 datatype: little-endian, row-major, BYTES as length-prefixed elements.
import { writeBinary } from './binary-tensor.ts'
import { BodyError, type BodyPath } from './body-error.ts'
import { fromHalves, isHalf, toHalves, type HalfDatatype } from './float16.ts'
import type { Json, JsonObject } from './json.ts'
import {
  countOf,
  printShape,
  toFlatJson,
  toTensorData,
  TYPED_ARRAYS,
  type Datatype,
  type TensorData,
} from './tensor.ts'
import { utf8Decoder, utf8Encoder } from './utf8.ts'
import { readSize } from './v2-fields.ts'

/** The datatypes of V2, and Triton's BF16. */
export type MessageDatatype = Datatype | HalfDatatype

/** Whether a text is a datatype, in upper case. */
export function isMessageDatatype(text: string): text is MessageDatatype {
  return text === 'BYTES' || Object.hasOwn(TYPED_ARRAYS, text) || isHalf(text)
}

/** The size of a value in bytes; undefined for BYTES, whose elements differ in size. */
export function widthOf(datatype: MessageDatatype): number | undefined {
  if (datatype === 'BYTES') return undefined
  return isHalf(datatype) ? 2 : TYPED_ARRAYS[datatype].BYTES_PER_ELEMENT
}

/** Returns the input's `binary_data_size`; undefined if its data is JSON. */
export function readBinarySize(parameters: JsonObject, path: BodyPath): number | undefined {
  const size = parameters['binary_data_size'] ?? null
  return size === null ? undefined : readSize(size, path)
}

/**
 * Checks a tensor's bytes without reading its values.
 * @param what describes the tensor in the error message
 * @throws BodyError `invalid_value` if the bytes do not match the shape
 */
export function checkRaw(
  what: string,
  datatype: MessageDatatype,
  shape: readonly number[],
  raw: Uint8Array,
): void {
  const count = countOf(shape)
  const width = widthOf(datatype)
  if (width !== undefined) {
    if (raw.length === count * width) return
    throw new BodyError(
      'invalid_value',
      `cannot reshape ${raw.length} bytes of ${what} into ${datatype} ${printShape(shape)}`,
    )
  }
  const elements = countElements(raw)
  if (elements === undefined) {
    throw new BodyError('invalid_value', `${what}: an element of BYTES is truncated`)
  }
  if (elements === count) return
  throw new BodyError(
    'invalid_value',
    `cannot reshape array of size ${elements} into shape ${printShape(shape)}`,
  )
}

/** Turns JSON values into the values of a datatype; see `toTensorData`. FP16 and BF16 values become 16-bit patterns. */
export function toValues(name: string, datatype: MessageDatatype, values: readonly Json[]): TensorData {
  if (!isHalf(datatype)) return toTensorData(name, datatype, values)
  const numbers = toTensorData(name, 'FP64', values) as Float64Array
  return toHalves(`input "${name}"`, datatype, numbers)
}

/** Returns the bytes of the values. The result is a view of the values, except for BYTES. */
export function rawOf(data: TensorData): Uint8Array {
  return writeBinary({ name: '', datatype: 'BYTES', shape: [], data })
}

/** Joins the elements of a BYTES tensor. */
export function joinElements(elements: readonly Uint8Array[]): Uint8Array {
  const raw = new Uint8Array(elements.reduce((length, element) => length + 4 + element.length, 0))
  const view = new DataView(raw.buffer)
  let at = 0
  for (const element of elements) {
    view.setUint32(at, element.length, true)
    raw.set(element, at + 4)
    at += 4 + element.length
  }
  return raw
}

/** Encodes a text for `joinElements`. */
export const encodeText: (text: string) => Uint8Array = utf8Encoder()

/**
 * Writes a tensor's bytes as a flat JSON list. 64-bit integers are exact; NaN and infinities are `null`, as in KServe.
 * @throws BodyError `invalid_value` if the bytes do not match the shape, or an element of BYTES is not UTF-8;
 * `unsupported` for a datatype that V2 does not define; `too_large` for more than `charactersMax` characters
 */
export function rawToJson(
  name: string,
  datatype: string,
  shape: readonly number[],
  raw: Uint8Array,
  charactersMax: number,
): string {
  if (!isMessageDatatype(datatype)) {
    throw new BodyError('unsupported', `"${name}" has datatype "${datatype}", which V2 does not define`)
  }
  checkRaw(`output "${name}"`, datatype, shape, raw)
  if (datatype === 'BYTES') return JSON.stringify(texts(name, raw, charactersMax))
  const Values = isHalf(datatype) ? Uint16Array : TYPED_ARRAYS[datatype]
  const values = viewOf(raw, Values as typeof Uint8Array)
  let text = ''
  for (let from = 0; from < values.length; from += VALUES_PER_STEP) {
    const data = values.subarray(from, from + VALUES_PER_STEP)
    const list = isHalf(datatype)
      ? JSON.stringify(Array.from(fromHalves(datatype, data)))
      : toFlatJson({ name, datatype, shape, data })
    text += (from === 0 ? '' : ',') + list.slice(1, -1)
    if (text.length > charactersMax) throw tooLarge(name, charactersMax)
  }
  return `[${text}]`
}

// How many values are written before the length of the text is checked.
const VALUES_PER_STEP = 64 * 1024

function tooLarge(name: string, charactersMax: number): BodyError {
  return new BodyError('too_large', `The values of "${name}" need more than ${charactersMax} characters`)
}

type NumericData = Exclude<TensorData, string[]>

// Returns a view of the bytes, or a copy if they are not aligned.
function viewOf<View extends NumericData>(
  raw: Uint8Array,
  View: { new (buffer: ArrayBufferLike, offset: number, length: number): View; BYTES_PER_ELEMENT: number },
): View {
  const length = raw.length / View.BYTES_PER_ELEMENT
  return raw.byteOffset % View.BYTES_PER_ELEMENT === 0
    ? new View(raw.buffer, raw.byteOffset, length)
    : new View(new Uint8Array(raw).buffer, 0, length)
}

// Returns undefined if the last element is truncated.
function countElements(raw: Uint8Array): number | undefined {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength)
  let count = 0
  let at = 0
  for (; at + 4 <= raw.length; count++) at += 4 + view.getUint32(at, true)
  return at === raw.length ? count : undefined
}

function texts(name: string, raw: Uint8Array, charactersMax: number): string[] {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength)
  const decode = utf8Decoder()
  const elements: string[] = []
  let characters = 0
  for (let at = 0; at < raw.length;) {
    const end = at + 4 + view.getUint32(at, true)
    try {
      elements.push(decode(raw.subarray(at + 4, end)))
    } catch {
      throw new BodyError(
        'invalid_value',
        `an element of "${name}" is not UTF-8; request the output as binary data`,
      )
    }
    // Adds the length of the element, with two quotes and a comma.
    characters += elements.at(-1)!.length + 3
    if (characters > charactersMax) throw tooLarge(name, charactersMax)
    at = end
  }
  return elements
}
