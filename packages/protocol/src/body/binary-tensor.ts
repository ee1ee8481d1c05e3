// The binary tensor data extension of V2: little-endian, row-major, BYTES as length-prefixed elements.
import { BodyError } from './body-error.ts'
import type { JsonObject } from './json.ts'
import { countOf, printShape, TYPED_ARRAYS, type Datatype, type Tensor, type TensorData } from './tensor.ts'
import { utf8Decoder, utf8Writer } from './utf8.ts'

/** Returns whether the parameters of an output request binary data. */
export function isBinary(parameters: JsonObject): boolean {
  return parameters['binary_data'] === true
}

/**
 * Reads a tensor's bytes.
 * @throws BodyError `invalid_value` if they do not match the shape.
 */
export function readBinary(
  name: string,
  datatype: Datatype,
  shape: readonly number[],
  bytes: Uint8Array,
): TensorData {
  if (datatype === 'BYTES') return readElements(name, shape, bytes)
  requireLittleEndian()
  const { BYTES_PER_ELEMENT: width } = TYPED_ARRAYS[datatype]
  if (bytes.length !== countOf(shape) * width) {
    throw new BodyError(
      'invalid_value',
      `cannot reshape ${bytes.length} bytes of input "${name}" into ${datatype} ${printShape(shape)}`,
    )
  }
  // The bytes are copied, because a view of the body may not be aligned.
  const { buffer } = new Uint8Array(bytes)
  const data = new TYPED_ARRAYS[datatype](buffer)
  // Any byte except 0 is true; the model must receive only 0 and 1.
  return datatype === 'BOOL' ? Uint8Array.from(data as Uint8Array, (value) => (value === 0 ? 0 : 1)) : data
}

function readElements(name: string, shape: readonly number[], bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const decode = utf8Decoder()
  const elements: string[] = []
  for (let at = 0; at < bytes.length;) {
    const start = at + 4
    at = start > bytes.length ? Infinity : start + view.getUint32(at, true)
    if (at > bytes.length)
      throw new BodyError('invalid_value', `input "${name}": an element of BYTES is truncated`)
    try {
      elements.push(decode(bytes.subarray(start, at)))
    } catch {
      throw new BodyError('invalid_value', `input "${name}": an element of BYTES is not UTF-8`)
    }
  }
  if (elements.length === countOf(shape)) return elements
  throw new BodyError(
    'invalid_value',
    `cannot reshape array of size ${elements.length} into shape ${printShape(shape)}`,
  )
}

/**
 * Writes a tensor's bytes. For all datatypes except BYTES, the result is a view of the tensor's values.
 * @throws BodyError `unsupported` on a big-endian machine.
 */
export function writeBinary({ data }: Tensor): Uint8Array {
  if (Array.isArray(data)) return writeElements(data)
  requireLittleEndian()
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

function writeElements(elements: readonly string[]): Uint8Array {
  const encodeInto = utf8Writer()
  // UTF-8 has at most 3 bytes for a code unit of UTF-16. An array of its own for each element would take more time.
  const bytes = new Uint8Array(elements.reduce((length, element) => length + 4 + 3 * element.length, 0))
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const element of elements) {
    const length = element === '' ? 0 : encodeInto(element, bytes.subarray(at + 4))
    view.setUint32(at, length, true)
    at += 4 + length
  }
  return bytes.slice(0, at)
}

/**
 * Typed arrays use the machine's byte order. Every Node.js platform except s390x is little-endian.
 * @throws BodyError `unsupported` on a big-endian machine
 */
export function requireLittleEndian(): void {
  if (new Uint8Array(Uint16Array.of(1).buffer)[0] === 1) return
  throw new BodyError('unsupported', 'Binary tensors require a little-endian machine.')
}
