// Writes a V2 inference response as an HTTP body: JSON, or JSON followed by binary tensors.
import { BodyError } from './body-error.ts'
import type { InferRequest, Parameters, ParameterValue } from './infer-request.ts'
import { rawToJson } from './raw-tensor.ts'
import { utf8Encoder } from './utf8.ts'

/** An output with its bytes. */
export interface MessageOutput {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly parameters: Parameters
  readonly raw: Uint8Array
}

/** A response. */
export interface MessageResponse {
  readonly modelName: string
  /** Empty = none. */
  readonly modelVersion: string
  /** Empty = none. */
  readonly id: string
  readonly parameters: Parameters
  readonly outputs: readonly MessageOutput[]
}

/** A body in parts, so that tensors need not be copied until the parts are joined. */
export interface WrittenMessage {
  readonly parts: readonly Uint8Array[]
  /** Number of JSON bytes before the binary tensors; undefined if the body is only JSON. */
  readonly jsonLength: number | undefined
}

/**
 * Writes a response in the encoding that the request asks for. Of the response's outputs, only the requested ones are
 * written, in the order of the request, because some servers return all outputs over gRPC.
 * @param bytesMax the limit for the body; writing stops there, because JSON may be many times larger than its tensor
 * @throws BodyError `invalid_input` for a requested output that the response does not have, `too_large` for a body
 * above `bytesMax`, or an error of `rawToJson`
 */
export function writeMessage(
  response: MessageResponse,
  request: Pick<InferRequest<unknown>, 'outputs' | 'isBinary'>,
  bytesMax: number,
): WrittenMessage {
  const binary: Uint8Array[] = []
  let bytesLeft = bytesMax
  const outputs = chosen(response, request).map(({ output, isBinary }) => {
    const { name, datatype, shape, raw } = output
    // KServe's gRPC answers include the size in the parameters of raw outputs.
    const parameters = new Map(output.parameters)
    parameters.delete('binary_data_size')
    if (isBinary) {
      parameters.set('binary_data_size', raw.length)
      binary.push(raw)
    }
    const data = isBinary ? undefined : rawToJson(name, datatype, shape, raw, bytesLeft)
    bytesLeft -= data?.length ?? raw.length
    if (bytesLeft < 0) throw new BodyError('too_large', `The response is larger than ${bytesMax} bytes`)
    const members = [
      `"name":${JSON.stringify(name)}`,
      `"datatype":${JSON.stringify(datatype)}`,
      `"shape":[${shape.join(',')}]`,
      ...parametersMember(parameters),
      ...(data === undefined ? [] : [`"data":${data}`]),
    ]
    return `{${members.join(',')}}`
  })
  const members = [
    `"model_name":${JSON.stringify(response.modelName)}`,
    ...(response.modelVersion === '' ? [] : [`"model_version":${JSON.stringify(response.modelVersion)}`]),
    ...(response.id === '' ? [] : [`"id":${JSON.stringify(response.id)}`]),
    ...parametersMember(response.parameters),
    `"outputs":[${outputs.join(',')}]`,
  ]
  const json = utf8Encoder()(`{${members.join(',')}}`)
  return { parts: [json, ...binary], jsonLength: binary.length === 0 ? undefined : json.length }
}

function chosen(
  { outputs }: MessageResponse,
  request: Pick<InferRequest<unknown>, 'outputs' | 'isBinary'>,
): { output: MessageOutput; isBinary: boolean }[] {
  if (request.outputs.length === 0) {
    return outputs.map((output) => ({ output, isBinary: request.isBinary }))
  }
  return request.outputs.map(({ name, isBinary }) => {
    const output = outputs.find((each) => each.name === name)
    if (output !== undefined) return { output, isBinary }
    const names = outputs.map((each) => `"${each.name}"`).join(', ')
    throw new BodyError('invalid_input', `The model has no output "${name}"; its outputs are ${names}`)
  })
}

function parametersMember(parameters: Parameters): string[] {
  if (parameters.size === 0) return []
  const members = [...parameters].map(([name, value]) => `${JSON.stringify(name)}:${toJson(value)}`)
  return [`"parameters":{${members.join(',')}}`]
}

// JSON can represent neither NaN nor infinities.
function toJson(value: ParameterValue): string {
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value)
}
