// Reads numpy's .npy files, format versions 1.0 to 3.0 (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
import { countOf, TYPED_ARRAYS, viewOf } from '@inferwire/protocol'
import { badFile, type FileTensor, type NumberArray } from './file-tensor.ts'

const MAGIC = Buffer.from('\x93NUMPY', 'latin1')
// numpy's own limit for a header is 10,000 bytes.
const HEADER_BYTES_MAX = 65_535
const RANK_MAX = 64
// The V2 datatypes, keyed by numpy's type code: kind and size.
const DATATYPES: Readonly<Record<string, keyof typeof TYPED_ARRAYS>> = {
  b1: 'BOOL',
  u1: 'UINT8',
  u2: 'UINT16',
  u4: 'UINT32',
  u8: 'UINT64',
  i1: 'INT8',
  i2: 'INT16',
  i4: 'INT32',
  i8: 'INT64',
  f2: 'FP16',
  f4: 'FP32',
  f8: 'FP64',
}

/**
 * Reads a file. `what` names the file in errors. @throws CliError for a file that is not a C-ordered array of V2 values
 */
export function readNpy(bytes: Uint8Array, what: string): FileTensor {
  const { header, dataStart } = splitHeader(bytes, what)
  const { descr, isFortran, shape } = readHeader(header, what)
  const count = countOf(shape)
  if (isFortran && shape.length > 1) {
    throw badFile(
      `${what} is in Fortran order; V2 tensors are row-major`,
      'Save it in C order: np.save(FILE, np.ascontiguousarray(array))',
    )
  }
  const data = bytes.subarray(dataStart)
  const strings = /^([<>|=])([SU])([1-9]\d{0,8})$/.exec(descr)
  if (strings !== null) {
    const [, order, kind, length] = strings
    const width = Number(length) * (kind === 'U' ? 4 : 1)
    checkSize(data, count, width, what)
    return { datatype: 'BYTES', shape, data: readStrings(data, count, width, kind!, order === '>') }
  }
  const [, order, name = ''] = /^([<>|=])(\w+)$/.exec(descr) ?? []
  const datatype = Object.hasOwn(DATATYPES, name) ? DATATYPES[name] : undefined
  if (datatype === undefined) {
    throw badFile(
      `${what} has the numpy type ${descr.slice(0, 60)}, which is not a V2 datatype`,
      `Convert it, for example: np.save(FILE, array.astype(np.float32))`,
    )
  }
  const Values = TYPED_ARRAYS[datatype]
  const { BYTES_PER_ELEMENT: width } = Values
  checkSize(data, count, width, what)
  const ordered = order === '>' ? swapBytes(data, width) : data
  return { datatype, shape, data: viewOf<NumberArray>(ordered, Values) }
}

function splitHeader(bytes: Uint8Array, what: string): { header: string; dataStart: number } {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const remedy = 'Write it with np.save(FILE, array).'
  if (file.length < 12 || !file.subarray(0, 6).equals(MAGIC)) {
    throw badFile(`${what} is not a .npy file`, remedy)
  }
  const major = file[6]!
  if (major < 1 || major > 3) throw badFile(`${what} has the format version ${major}.${file[7]!}`, remedy)
  const start = major === 1 ? 10 : 12
  const length = major === 1 ? file.readUInt16LE(8) : file.readUInt32LE(8)
  if (length > HEADER_BYTES_MAX || start + length > file.length) {
    throw badFile(`${what} is truncated, or its header is not valid`, remedy)
  }
  const header = file.subarray(start, start + length).toString(major === 3 ? 'utf8' : 'latin1')
  return { header, dataStart: start + length }
}

// The header is a Python dictionary such as {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }. A structured
// type is a list instead of a string, and does not match.
function readHeader(header: string, what: string) {
  const descr = /'descr'\s*:\s*'([^']*)'/.exec(header)?.[1]
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(header)?.[1]
  const dimensions = /'shape'\s*:\s*\(([\d\s,]*)\)/.exec(header)?.[1]
  if (descr === undefined && /'descr'\s*:\s*\[/.test(header)) {
    throw badFile(`${what} has a structured type`, 'Save one field: np.save(FILE, array["FIELD"])')
  }
  const shape = dimensions
    ?.split(',')
    .map((size) => size.trim())
    .filter((size) => size !== '')
    .map(Number)
  const isShape = shape !== undefined && shape.length <= RANK_MAX && shape.every(Number.isSafeInteger)
  if (descr === undefined || order === undefined || !isShape) {
    throw badFile(`the header of ${what} is not valid`, 'Write it with np.save(FILE, array).')
  }
  return { descr, isFortran: order === 'True', shape }
}

function checkSize(data: Uint8Array, count: number, width: number, what: string): void {
  if (data.length === count * width) return
  throw badFile(
    `${what} has ${data.length} bytes of values, but its shape and type need ${count * width}`,
    'Write it again with np.save(FILE, array).',
  )
}

function swapBytes(bytes: Uint8Array, width: number): Uint8Array {
  const swapped = new Uint8Array(bytes)
  for (let at = 0; at < swapped.length; at += width) swapped.subarray(at, at + width).reverse()
  return swapped
}

// numpy pads text with NUL. The type S has one byte per character, the type U is encoded in UTF-32.
function readStrings(
  data: Uint8Array,
  count: number,
  width: number,
  kind: string,
  isBigEndian: boolean,
): string[] | Uint8Array[] {
  const elements = Array.from({ length: count }, (_, index) =>
    data.subarray(index * width, (index + 1) * width),
  )
  if (kind === 'S') return elements.map((element) => element.subarray(0, lengthWithoutPadding(element)))
  return elements.map((element) => {
    const view = new DataView(element.buffer, element.byteOffset, element.byteLength)
    let text = ''
    for (let at = 0; at < element.length; at += 4) {
      const code = view.getUint32(at, !isBigEndian)
      text += String.fromCodePoint(code > 0x10_ffff ? 0xfffd : code)
    }
    return text.replace(/\0+$/, '')
  })
}

function lengthWithoutPadding(bytes: Uint8Array): number {
  let length = bytes.length
  while (length > 0 && bytes[length - 1] === 0) length--
  return length
}
