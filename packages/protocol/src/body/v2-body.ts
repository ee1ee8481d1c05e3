// The requester's side of V2 bodies: writes requests with typed tensors, in binary or as JSON.
import type { CarriedBody } from './carried-body.ts'
import { Chunks } from './chunks.ts'
import { isHalf } from './datatype.ts'
import { rawOf } from './raw-tensor.ts'
import { checkTensor, type CheckedTensor, type InputTensor } from './typed-tensor.ts'
import { utf8Decoder, utf8Encoder } from './utf8.ts'
import { writeJson } from './write-json.ts'

type Parameters = Readonly<Record<string, string | number | boolean>>

/** A V2 request. */
export interface V2Call {
  readonly inputs: readonly InputTensor[]
  /** Names of the outputs to return. @default all outputs */
  readonly outputs?: readonly string[] | undefined
  /** V2 parameters of the request. */
  readonly parameters?: Parameters | undefined
}

/**
 * Writes a request with binary tensors that also asks for binary outputs (binary tensor data extension).
 * @throws TypeError for tensors that do not match their datatype or shape
 */
export function writeBinaryCall({ inputs, outputs, parameters }: V2Call): CarriedBody {
  const tensors = inputs.map(checkTensor)
  const parts = tensors.map(({ data }) => rawOf(data))
  const header = utf8Encoder()(
    writeJson({
      // An output in the list is binary only if it has its own parameter; `binary_data_output` applies to requests
      // without a list.
      parameters: { ...parameters, binary_data_output: true },
      inputs: tensors.map((tensor, index) => ({
        ...headOf(tensor),
        parameters: { ...tensor.parameters, binary_data_size: parts[index]!.length },
      })),
      outputs: outputs?.map((name) => ({ name, parameters: { binary_data: true } })),
    }),
  )
  const body = new Chunks()
  for (const part of [header, ...parts]) body.add(part)
  return { body: body.join(), jsonLength: header.length }
}

/**
 * Writes a JSON request. 64-bit integers keep all their digits.
 * @throws TypeError in the same cases as `writeBinaryCall`, and for values that JSON cannot represent: FP16, BF16, NaN,
 * infinities, bytes that are not UTF-8
 */
export function writeJsonCall({ inputs, outputs, parameters }: V2Call): CarriedBody {
  const text = writeJson({
    parameters,
    inputs: inputs.map(checkTensor).map((tensor) => ({
      ...headOf(tensor),
      parameters: tensor.parameters,
      data: toJsonValues(tensor),
    })),
    outputs: outputs?.map((name) => ({ name })),
  })
  return { body: utf8Encoder()(text), jsonLength: undefined }
}

function headOf({ name, shape, datatype }: CheckedTensor): object {
  return { name, shape, datatype }
}

function toJsonValues({ name, datatype, data }: CheckedTensor): unknown {
  if (isHalf(datatype)) {
    throw new TypeError(
      `Tensor "${name}" is ${datatype}, which V2 supports only in binary; the request is JSON.`,
    )
  }
  if (datatype === 'BOOL') return Array.from(data as Uint8Array, Boolean)
  if (ArrayBuffer.isView(data)) return data
  const decode = utf8Decoder()
  return data.map((element, index) => {
    if (typeof element === 'string') return element
    try {
      return decode(element)
    } catch {
      throw new TypeError(
        `Value ${index} of tensor "${name}" is not UTF-8, so it can only be sent in binary.`,
      )
    }
  })
}
