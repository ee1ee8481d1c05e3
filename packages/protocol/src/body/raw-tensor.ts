// The bytes of a tensor, as in V2's binary tensor data extension and in gRPC's raw contents: little-endian, row-major,
// BYTES as length-prefixed elements.
import { BodyError } from './body-error.ts'
import { isDatatype, TYPED_ARRAYS, widthOf, type TensorDatatype } from './datatype.ts'
import { countElements, decodeElements, joinElements } from './elements.ts'
import { countOf, printShape, toFlatJson, type TensorData } from './tensor.ts'

/**
 * Returns the bytes of a tensor's values. The result is a view of the values, except for BYTES.
 * @throws BodyError `unsupported` on a big-endian machine
 */
export function rawOf(data: ArrayBufferView | readonly (string | Uint8Array)[]): Uint8Array {
  if (ArrayBuffer.isView(data)) {
    requireLittleEndian()
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  }
  return joinElements(data)
}

/**
 * Reads a tensor's values. The result is a view of the bytes if they are aligned, except for BOOL and BYTES.
 * @param what describes the tensor in the error message
 * @throws BodyError `invalid_value` if the bytes do not match the shape, or an element of BYTES is not UTF-8
 */
export function readRaw(
  what: string,
  datatype: TensorDatatype,
  shape: readonly number[],
  raw: Uint8Array,
): TensorData {
  checkRaw(what, datatype, shape, raw)
  if (datatype === 'BYTES') return textsOf(raw, `${what}: an element of BYTES is not UTF-8`)
  // Any byte except 0 is true; the model must receive only 0 and 1.
  if (datatype === 'BOOL') return Uint8Array.from(raw, (value) => (value === 0 ? 0 : 1))
  return viewOf<Exclude<TensorData, string[]>>(raw, TYPED_ARRAYS[datatype])
}

/**
 * Checks a tensor's bytes without reading its values.
 * @param what describes the tensor in the error message
 * @throws BodyError `invalid_value` if the bytes do not match the shape
 */
export function checkRaw(
  what: string,
  datatype: TensorDatatype,
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
  if (!isDatatype(datatype)) {
    throw new BodyError('unsupported', `"${name}" has datatype "${datatype}", which V2 does not define`)
  }
  checkRaw(`output "${name}"`, datatype, shape, raw)
  const tooLarge = (): BodyError =>
    new BodyError('too_large', `The values of "${name}" need more than ${charactersMax} characters`)
  if (datatype === 'BYTES') {
    let characters = 0
    const notUtf8 = `an element of "${name}" is not UTF-8; request the output as binary data`
    const texts = textsOf(raw, notUtf8, ({ length }) => {
      // Adds two quotes and a comma.
      characters += length + 3
      if (characters > charactersMax) throw tooLarge()
    })
    return JSON.stringify(texts)
  }
  const values = viewOf(raw, TYPED_ARRAYS[datatype] as typeof Uint8Array)
  let text = ''
  for (let from = 0; from < values.length; from += VALUES_PER_STEP) {
    const list = toFlatJson(datatype, values.subarray(from, from + VALUES_PER_STEP))
    text += (from === 0 ? '' : ',') + list.slice(1, -1)
    if (text.length > charactersMax) throw tooLarge()
  }
  return `[${text}]`
}

// How many values are written before the length of the text is checked.
const VALUES_PER_STEP = 64 * 1024

/** The constructor of a typed array. */
export interface ArrayType<Values> {
  readonly BYTES_PER_ELEMENT: number
  new (buffer: ArrayBuffer, offset: number, length: number): Values
}

/**
 * Returns the bytes as a typed array: a view, or a copy if the bytes are not aligned. Their number must be a multiple
 * of the size of a value.
 * @throws BodyError `unsupported` on a big-endian machine
 */
export function viewOf<Values>(raw: Uint8Array, Values: ArrayType<Values>): Values {
  requireLittleEndian()
  const { BYTES_PER_ELEMENT: width } = Values
  const aligned = raw.byteOffset % width === 0 ? raw : new Uint8Array(raw)
  return new Values(aligned.buffer as ArrayBuffer, aligned.byteOffset, raw.length / width)
}

function textsOf(raw: Uint8Array, notUtf8: string, visit?: (text: string) => void): string[] {
  try {
    return decodeElements(raw, visit)
  } catch (error) {
    throw error instanceof BodyError ? error : new BodyError('invalid_value', notUtf8)
  }
}

/**
 * Typed arrays use the machine's byte order. Every Node.js platform except s390x is little-endian.
 * @throws BodyError `unsupported` on a big-endian machine
 */
function requireLittleEndian(): void {
  if (new Uint8Array(Uint16Array.of(1).buffer)[0] === 1) return
  throw new BodyError('unsupported', 'Binary tensors require a little-endian machine.')
}
