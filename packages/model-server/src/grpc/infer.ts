// Runs a ModelInferRequest: converts it to a V2 request with binary tensors, and the outputs to a ModelInferResponse.
import { randomUUID } from 'node:crypto'
import { readV2Request, writeBinary, writeJson, type Tensor } from '@inferwire/protocol'
import type { Models } from '../call.ts'
import { Failure } from '../failure.ts'
import { fromWire, toContents, toRaw } from './contents.ts'
import type { WireRequest, WireResponse } from './inference-proto.ts'

/**
 * Runs a request. As on KServe's server, raw inputs produce raw outputs, and typed inputs produce typed outputs.
 * The model version in the request is ignored.
 * @throws Failure or BodyError, as for a V2 request over HTTP
 */
export async function infer(
  models: Models,
  request: WireRequest,
  signal: AbortSignal,
): Promise<WireResponse> {
  const model = models.get(request.model_name)
  if (model === undefined) throw Failure.error(404, `Model with name ${request.model_name} does not exist.`)
  const isRaw = request.raw_input_contents.length > 0
  const raws = isRaw ? rawContents(request) : request.inputs.map(typedContents)
  const header = Buffer.from(writeJson(headerOf(request, raws)))
  const { id, inputs, outputs } = readV2Request(model, Buffer.concat([header, ...raws]), header.length)
  const tensors = await model.run(
    inputs,
    outputs.map(({ name }) => name),
    signal,
  )
  return {
    model_name: model.name,
    id: id ?? randomUUID(),
    outputs: tensors.map((tensor) => describe(tensor, isRaw)),
    raw_output_contents: isRaw ? tensors.map(writeBinary) : [],
  }
}

function rawContents({ inputs, raw_input_contents: raws }: WireRequest): readonly Uint8Array[] {
  if (raws.length !== inputs.length) {
    throw Failure.invalidInput(
      `The request has ${inputs.length} inputs, but ${raws.length} raw_input_contents`,
    )
  }
  const both = inputs.find(({ contents }) => Object.values(contents ?? {}).some((list) => list.length > 0))
  if (both === undefined) return raws
  throw Failure.invalidInput(`Input "${both.name}" has contents, although the request has raw_input_contents`)
}

function typedContents({ name, datatype, contents }: WireRequest['inputs'][number]): Uint8Array {
  return toRaw(name, datatype, contents ?? {})
}

function headerOf({ id, inputs, outputs }: WireRequest, raws: readonly Uint8Array[]): object {
  return {
    ...(id === '' ? {} : { id }),
    inputs: inputs.map(({ name, datatype, shape }, index) => ({
      name,
      datatype,
      shape: shape.map(fromWire),
      parameters: { binary_data_size: raws[index]!.length },
    })),
    ...(outputs.length === 0 ? {} : { outputs: outputs.map(({ name }) => ({ name })) }),
  }
}

function describe(tensor: Tensor, isRaw: boolean): WireResponse['outputs'][number] {
  const { name, datatype, shape } = tensor
  return { name, datatype, shape: [...shape], ...(isRaw ? {} : { contents: toContents(tensor) }) }
}
