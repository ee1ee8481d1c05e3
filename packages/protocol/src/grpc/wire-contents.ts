// The typed contents of a tensor in a gRPC message: InferTensorContents, which has a list for each kind of values.
import type { Datatype } from '../body/datatype.ts'
import { encodeText } from '../body/elements.ts'
import type { TensorData } from '../body/tensor.ts'
import { toWireInteger } from './wire-integer.ts'
import type { WireContents } from './wire-message.ts'

interface ContentsList {
  readonly field: keyof WireContents
  /** The field number. */
  readonly number: number
}

const BOOLS: ContentsList = { field: 'bool_contents', number: 1 }
const INTS: ContentsList = { field: 'int_contents', number: 2 }
const UINTS: ContentsList = { field: 'uint_contents', number: 4 }

/** The list with the values of each datatype. FP16 and BF16 have no list: their values are always raw contents. */
export const CONTENTS_LISTS: Readonly<Record<Datatype, ContentsList>> = {
  BOOL: BOOLS,
  INT8: INTS,
  INT16: INTS,
  INT32: INTS,
  INT64: { field: 'int64_contents', number: 3 },
  UINT8: UINTS,
  UINT16: UINTS,
  UINT32: UINTS,
  UINT64: { field: 'uint64_contents', number: 5 },
  FP32: { field: 'fp32_contents', number: 6 },
  FP64: { field: 'fp64_contents', number: 7 },
  BYTES: { field: 'bytes_contents', number: 8 },
}

/** Whether typed contents can contain the values of a datatype. */
export function hasContents(datatype: string): datatype is Datatype {
  return Object.hasOwn(CONTENTS_LISTS, datatype)
}

/** Returns the values of a tensor as typed contents. */
export function toContents(datatype: Datatype, values: TensorData): WireContents {
  return { [CONTENTS_LISTS[datatype].field]: toList(values) }
}

function toList(values: TensorData): ArrayLike<unknown> {
  if (Array.isArray(values)) return values.map(encodeText)
  const isBig = values instanceof BigInt64Array || values instanceof BigUint64Array
  return isBig ? Array.from(values as Iterable<bigint>, toWireInteger) : values
}
