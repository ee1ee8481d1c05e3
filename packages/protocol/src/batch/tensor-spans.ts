// Finds the parts of a tensor in a JSON text: its rows, and its data as JSON or as binary.
import { isDatatype, widthOf } from '../body/datatype.ts'
import { afterElements } from '../body/elements.ts'
import {
  isScalar,
  onlyMember,
  readList,
  readMembers,
  textOf,
  type List,
  type Member,
  type Span,
} from '../body/json-spans.ts'
import { countOf } from '../body/tensor.ts'

/** A tensor in a request or an answer, with the positions of its parts in the text. */
export interface TensorSpans {
  readonly members: readonly Member[]
  readonly name: string
  readonly datatype: string
  /** The size of axis 0; `rowShape` contains the sizes of the other axes. */
  readonly rows: number
  readonly rowShape: readonly number[]
  readonly data: List | BinaryData
}

/** Data in the bytes after the JSON. */
export interface BinaryData {
  readonly parameters: readonly Member[]
  /** Size in bytes. */
  readonly size: number
  /** Size of a value in bytes; undefined for BYTES, whose elements differ in size. */
  readonly width: number | undefined
}

/** The parameter with the size of a binary tensor in bytes. */
export const SIZE_PARAMETER = 'binary_data_size'
const COUNT_MAX = 2 ** 31
// 256 KiB contain at most this many elements. The JSON of a merged request has the same limit of 256 KiB.
const ELEMENTS_MAX = 64 * 1024

/**
 * Reads the tensor object at `start`; undefined unless its data matches its shape. Of binary data, only the size is
 * checked. The size of BYTES is not checked, because it depends on the values.
 */
export function readTensor(
  text: Uint8Array,
  start: number,
): (TensorSpans & { readonly end: number }) | undefined {
  const object = readMembers(text, start)
  if (object === undefined) return undefined
  const { members, end } = object
  const name = stringOf(text, onlyMember(members, 'name'))
  const datatype = stringOf(text, onlyMember(members, 'datatype'))
  const shape = shapeOf(text, onlyMember(members, 'shape'))
  if (name === undefined || datatype === undefined || shape === undefined) return undefined
  const [rows = 0, ...rowShape] = shape
  if (rows === 0) return undefined
  const data = dataOf(text, members, datatype, shape)
  return data === undefined ? undefined : { members, name, datatype, rows, rowShape, data, end }
}

/** Whether the tensor's data is binary. */
export function isBinary(data: TensorSpans['data']): data is BinaryData {
  return 'size' in data
}

/** Number of values in one row. */
export function valuesPerRow({ rowShape }: TensorSpans): number {
  return countOf(rowShape)
}

/**
 * Divides the bytes of a binary tensor into groups of rows; undefined if the bytes do not contain as many values as the
 * shape requires.
 * @param values number of values in one row
 */
export function cutBinary(
  { width }: BinaryData,
  values: number,
  bytes: Uint8Array,
  counts: readonly number[],
): Uint8Array[] | undefined {
  const groups: Uint8Array[] = []
  let at = 0
  for (const rows of counts) {
    const start = at
    at = width === undefined ? afterElements(bytes, at, rows * values) : at + rows * values * width
    if (at > bytes.length) return undefined
    groups.push(bytes.subarray(start, at))
  }
  return at === bytes.length ? groups : undefined
}

/** Returns the text of a member that is a string, without its quotes; undefined otherwise. */
export function stringOf(text: Uint8Array, member: Member | undefined): string | undefined {
  if (member === undefined || text[member.start] !== 0x22 || member.end - member.start > 1024)
    return undefined
  return textOf(text, { start: member.start + 1, end: member.end - 1 })
}

/** Whether a binary BYTES tensor has so many elements that visiting each one to find the rows takes too long. */
export function hasManyElements(tensor: TensorSpans): boolean {
  const { data, rows } = tensor
  return isBinary(data) && data.width === undefined && rows * valuesPerRow(tensor) > ELEMENTS_MAX
}

function shapeOf(text: Uint8Array, member: Member | undefined): number[] | undefined {
  if (member === undefined || member.end - member.start > 1024) return undefined
  const shape = /^\[\s*(\d{1,10}(?:\s*,\s*\d{1,10})*)\s*\]$/.exec(textOf(text, member))?.[1]
  const sizes = shape?.split(',').map(Number)
  return sizes !== undefined && countOf(sizes) <= COUNT_MAX ? sizes : undefined
}

function dataOf(
  text: Uint8Array,
  members: readonly Member[],
  datatype: string,
  shape: readonly number[],
): List | BinaryData | undefined {
  const count = countOf(shape)
  const data = onlyMember(members, 'data')
  const parameters = onlyMember(members, 'parameters')
  const binary = parameters === undefined ? undefined : binaryOf(text, parameters)
  if (binary !== undefined) {
    if (data !== undefined || !isDatatype(datatype)) return undefined
    const width = widthOf(datatype)
    return width === undefined || binary.size === count * width ? { ...binary, width } : undefined
  }
  const list = data === undefined ? undefined : readList(text, data.start)
  if (list === undefined || !list.isTensor || list.leaves !== count) return undefined
  // The data must be a flat list of all values, or a nested list whose items are the rows.
  return list.depth === 1 || list.count === shape[0] ? list : undefined
}

function binaryOf(text: Uint8Array, parameters: Span): Omit<BinaryData, 'width'> | undefined {
  const members = readMembers(text, parameters.start)?.members
  const size = members === undefined ? undefined : onlyMember(members, SIZE_PARAMETER)
  if (members === undefined || size === undefined) return undefined
  const digits = /^\d{1,10}$/.exec(
    textOf(text, { start: size.start, end: Math.min(size.end, size.start + 11) }),
  )
  const areScalars = members.every((member) => isScalar(text, member))
  return digits !== null && areScalars ? { parameters: members, size: Number(digits[0]) } : undefined
}

/** Returns the parameters of a binary tensor except its size, as text for comparisons. */
export function otherParameters(text: Uint8Array, { parameters }: BinaryData): string {
  return parameters
    .filter(({ key }) => key !== SIZE_PARAMETER)
    .map((member) => `"${member.key}":${textOf(text, member)}`)
    .sort()
    .join()
}
