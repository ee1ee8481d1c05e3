// Converts the typed contents of a gRPC message to a tensor's bytes, and a tensor's values to typed contents.
import { writeBinary, type Datatype, type Tensor } from '@inferwire/protocol'
import { Failure } from '../failure.ts'
import type { WireContents, WireInteger } from './inference-proto.ts'

type Field = keyof WireContents

/** For each datatype, the field that contains the values. */
const FIELDS: Readonly<Record<Datatype, Field>> = {
  BOOL: 'bool_contents',
  INT8: 'int_contents',
  INT16: 'int_contents',
  INT32: 'int_contents',
  INT64: 'int64_contents',
  UINT8: 'uint_contents',
  UINT16: 'uint_contents',
  UINT32: 'uint_contents',
  UINT64: 'uint64_contents',
  FP32: 'fp32_contents',
  FP64: 'fp64_contents',
  BYTES: 'bytes_contents',
}

/** The typed arrays of the datatypes whose values are numbers on the wire. */
const NUMBERS = {
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const

function isDatatype(datatype: string): datatype is Datatype {
  return Object.hasOwn(FIELDS, datatype)
}

/** Returns the bytes of the values, as in `raw_input_contents`. @throws Failure 400 */
export function toRaw(name: string, datatype: string, contents: WireContents): Uint8Array {
  const wrong = (text: string): Failure => Failure.invalidInput(`Input "${name}" ${text}`)
  if (!isDatatype(datatype))
    throw wrong(`has the datatype "${datatype}", which typed contents do not support`)
  const field = FIELDS[datatype]
  const other = Object.values(FIELDS).find((each) => each !== field && (contents[each]?.length ?? 0) > 0)
  if (other !== undefined) throw wrong(`is ${datatype}, so its values must be in ${field}, not in ${other}`)
  if (datatype === 'BYTES') return lengthPrefixed(contents.bytes_contents ?? [])
  const data = valuesOf(datatype, contents)
  if (data === undefined) throw wrong(`has a value that is out of range for ${datatype}`)
  return writeBinary({ name, datatype, shape: [data.length], data })
}

// Returns undefined if a value is out of range, which is possible because INT8 values, for example, are sent as 32-bit
// integers.
function valuesOf(datatype: Exclude<Datatype, 'BYTES'>, contents: WireContents): Tensor['data'] | undefined {
  if (datatype === 'BOOL') return Uint8Array.from(contents.bool_contents ?? [], Number)
  if (datatype === 'INT64') return BigInt64Array.from(contents.int64_contents ?? [], fromWire)
  if (datatype === 'UINT64') return BigUint64Array.from(contents.uint64_contents ?? [], fromWire)
  const values = contents[FIELDS[datatype]] as readonly number[] | undefined
  const data = NUMBERS[datatype].from(values ?? [])
  const isFloat = datatype === 'FP32' || datatype === 'FP64'
  return isFloat || data.every((value, index) => value === values?.[index]) ? data : undefined
}

function lengthPrefixed(elements: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(
    elements.flatMap((element) => {
      const length = Buffer.alloc(4)
      length.writeUInt32LE(element.length)
      return [length, element]
    }),
  )
}

/** Returns the values of a tensor as typed contents. */
export function toContents({ datatype, data }: Tensor): WireContents {
  const values = Array.from(data as ArrayLike<unknown>)
  if (datatype === 'BOOL') return { bool_contents: values.map(Boolean) }
  if (datatype === 'BYTES') return { bytes_contents: (values as string[]).map((text) => Buffer.from(text)) }
  const isBig = datatype === 'INT64' || datatype === 'UINT64'
  return { [FIELDS[datatype]]: isBig ? (values as bigint[]).map(toWire) : values }
}

/** Returns a 64-bit integer. */
export function fromWire({ low, high, unsigned }: WireInteger): bigint {
  const value = (BigInt(high) << 32n) | BigInt(low >>> 0)
  return unsigned ? BigInt.asUintN(64, value) : value
}

function toWire(value: bigint): WireInteger {
  const [low, high] = [BigInt.asIntN(32, value), BigInt.asIntN(32, value >> 32n)]
  return { low: Number(low), high: Number(high), unsigned: value >= 2n ** 63n }
}
