// Runs a ModelInferRequest: converts it to a V2 request whose tensors are bytes, and the outputs to a ModelInferResponse.
import { randomUUID } from 'node:crypto'
import {
  checkOutputs,
  fitRequest,
  fromWireSize,
  rawOf,
  toModelInput,
  readShape,
  toContents,
  type Tensor,
  type WireRequest,
  type WireResponse,
} from '@inferwire/protocol'
import type { Models } from '../call.ts'
import { Failure } from '../failure.ts'
import type { Model } from '../model.ts'
import { toRaw } from './contents.ts'

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
  const { id, inputs, outputs } = fitRequest(model, {
    id: request.id === '' ? undefined : request.id,
    inputs: tensorsOf(model, request, raws),
    outputs: checkOutputs(request.outputs.map(({ name }) => ({ name, isBinary: isRaw }))),
    isBinary: isRaw,
  })
  const tensors = await model.run(
    inputs,
    outputs.map(({ name }) => name),
    signal,
  )
  return {
    model_name: model.name,
    model_version: '',
    id: id ?? randomUUID(),
    parameters: {},
    outputs: tensors.map((tensor) => describe(tensor, isRaw)),
    raw_output_contents: isRaw ? tensors.map(({ data }) => rawOf(data)) : [],
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

function tensorsOf(model: Model, { inputs }: WireRequest, raws: readonly Uint8Array[]): Tensor[] {
  return inputs.map(({ name, datatype, shape }, index) =>
    toModelInput(model, {
      name,
      datatype: datatype.toUpperCase(),
      shape: readShape(shape.map(fromWireSize), ['inputs', index, 'shape']),
      data: { raw: raws[index]! },
    }),
  )
}

function describe(tensor: Tensor, isRaw: boolean): WireResponse['outputs'][number] {
  const { name, datatype, shape, data } = tensor
  const output = { name, datatype, shape, parameters: {} }
  return isRaw ? output : { ...output, contents: toContents(datatype, data) }
}
