// The binary tensor data extension of V2: little-endian, row-major, BYTES as length-prefixed elements.
import { endianness } from 'node:os'
import { Failure } from './failure.ts'
import type { JsonObject } from './json.ts'
import { countOf, printShape, TYPED_ARRAYS, type Datatype, type Tensor, type TensorData } from './tensor.ts'

// Typed arrays have the byte order of the machine. Every platform that Node.js ships for but s390x is little-endian.
const IS_LITTLE_ENDIAN = endianness() === 'LE'

/** Whether the parameters of an output ask for binary data. */
export function isBinary(parameters: JsonObject): boolean {
  return parameters['binary_data'] === true
}

/**
 * Reads one tensor's bytes.
 * @throws Failure 500 `ValueError` when they are not what the shape needs, as KServe's reshape does.
 */
export function readBinary(
  name: string,
  datatype: Datatype,
  shape: readonly number[],
  bytes: Uint8Array,
): TensorData {
  if (datatype === 'BYTES') return readElements(name, shape, bytes)
  if (!IS_LITTLE_ENDIAN) throw Failure.error(501, 'Binary tensors need a little-endian machine.')
  const { BYTES_PER_ELEMENT: width } = TYPED_ARRAYS[datatype]
  if (bytes.length !== countOf(shape) * width) {
    throw Failure.raised(
      'ValueError',
      `cannot reshape ${bytes.length} bytes of input "${name}" into ${datatype} ${printShape(shape)}`,
    )
  }
  // A copy, because a view of the body need not be aligned.
  const { buffer } = new Uint8Array(bytes)
  const data = new TYPED_ARRAYS[datatype](buffer)
  // Any byte but 0 is true, and the engine must see none but 0 and 1.
  return datatype === 'BOOL' ? Uint8Array.from(data as Uint8Array, (value) => (value === 0 ? 0 : 1)) : data
}

function readElements(name: string, shape: readonly number[], bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const elements: string[] = []
  for (let at = 0; at < bytes.length;) {
    const start = at + 4
    at = start > bytes.length ? Infinity : start + view.getUint32(at, true)
    if (at > bytes.length)
      throw Failure.raised('ValueError', `input "${name}": an element of BYTES is cut short`)
    try {
      elements.push(decoder.decode(bytes.subarray(start, at)))
    } catch {
      throw Failure.raised('ValueError', `input "${name}": an element of BYTES is not UTF-8`)
    }
  }
  if (elements.length === countOf(shape)) return elements
  throw Failure.raised(
    'ValueError',
    `cannot reshape array of size ${elements.length} into shape ${printShape(shape)}`,
  )
}

/** Writes one tensor's bytes. */
export function writeBinary({ data }: Tensor): Uint8Array {
  if (!Array.isArray(data)) {
    if (!IS_LITTLE_ENDIAN) throw Failure.error(501, 'Binary tensors need a little-endian machine.')
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  }
  return Buffer.concat(
    data.flatMap((element) => {
      const bytes = Buffer.from(element)
      const length = Buffer.alloc(4)
      length.writeUInt32LE(bytes.length)
      return [length, bytes]
    }),
  )
}
