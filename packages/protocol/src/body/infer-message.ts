// Reads a V2 inference request for any model, with the values of its tensors.
import { BodyError } from './body-error.ts'
import { isDatatype, type TensorDatatype } from './datatype.ts'
import { readInferRequest, type InferRequest, type Parameters, type RequestInput } from './infer-request.ts'
import { checkRaw } from './raw-tensor.ts'
import { toTensorData, type TensorData } from './tensor.ts'

/** An input with the number of values that its shape requires. */
export interface MessageInput {
  readonly name: string
  readonly datatype: TensorDatatype
  readonly shape: readonly number[]
  readonly parameters: Parameters
  /** From JSON: the values. From a binary body: the tensor's bytes, as a view of the body. */
  readonly data: { readonly values: TensorData } | { readonly raw: Uint8Array }
}

/** A request with its tensors. */
export type MessageRequest = InferRequest<MessageInput>

/**
 * Reads a request.
 * @param jsonLength number of JSON bytes before the binary tensors; undefined if the body is only JSON.
 * @throws BodyError as `readInferRequest` does; `invalid_input` for a datatype that the protocol does not define,
 * `invalid_value` for wrong values
 */
export function readMessage(body: Uint8Array, jsonLength?: number): MessageRequest {
  // JSON has no NaN; a binary tensor can contain it.
  return readInferRequest(body, jsonLength, false, toMessageInput)
}

function toMessageInput({ name, datatype, shape, parameters, data }: RequestInput): MessageInput {
  if (!isDatatype(datatype)) {
    throw new BodyError(
      'invalid_input',
      `Input "${name}" has datatype "${datatype}", which V2 does not define`,
    )
  }
  const head = { name, datatype, shape, parameters }
  if ('values' in data) return { ...head, data: { values: toTensorData(name, datatype, data.values) } }
  checkRaw(`input "${name}"`, datatype, shape, data.raw)
  return { ...head, data }
}
