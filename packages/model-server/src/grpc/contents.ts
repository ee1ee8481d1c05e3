// Converts the typed contents of a gRPC message to a tensor's bytes.
import {
  CONTENTS_LISTS,
  fromWireInteger,
  hasContents,
  isFloat,
  joinElements,
  rawOf,
  TYPED_ARRAYS,
  type Datatype,
  type TensorData,
  type WireContents,
} from '@inferwire/protocol'
import { Failure } from '../failure.ts'

/** Returns the bytes of the values, as in `raw_input_contents`. @throws Failure 400 */
export function toRaw(name: string, datatype: string, contents: WireContents): Uint8Array {
  const wrong = (text: string): Failure => Failure.invalidInput(`Input "${name}" ${text}`)
  if (!hasContents(datatype))
    throw wrong(`has the datatype "${datatype}", which typed contents do not support`)
  const { field } = CONTENTS_LISTS[datatype]
  const other = Object.values(CONTENTS_LISTS).find(
    (each) => each.field !== field && (contents[each.field]?.length ?? 0) > 0,
  )
  if (other !== undefined)
    throw wrong(`is ${datatype}, so its values must be in ${field}, not in ${other.field}`)
  if (datatype === 'BYTES') return joinElements(contents.bytes_contents ?? [])
  const data = valuesOf(datatype, contents)
  if (data === undefined) throw wrong(`has a value that is out of range for ${datatype}`)
  return rawOf(data)
}

// Returns undefined if a value is out of range, which is possible because INT8 values, for example, are sent as 32-bit
// integers.
function valuesOf(datatype: Exclude<Datatype, 'BYTES'>, contents: WireContents): TensorData | undefined {
  if (datatype === 'BOOL') return Uint8Array.from(contents.bool_contents ?? [], Number)
  if (datatype === 'INT64') return BigInt64Array.from(contents.int64_contents ?? [], fromWireInteger)
  if (datatype === 'UINT64') return BigUint64Array.from(contents.uint64_contents ?? [], fromWireInteger)
  const values = (contents[CONTENTS_LISTS[datatype].field] ?? []) as ArrayLike<number>
  const data = new TYPED_ARRAYS[datatype](values)
  return isFloat(datatype) || data.every((value, index) => value === values[index]) ? data : undefined
}
