// The V2 protocol (Open Inference Protocol, REST): health, metadata, infer.
import { randomUUID } from 'node:crypto'
import { readV2Request, type V2Request } from '@inferwire/protocol'
import { mediaTypeOf, modelOf, type Call, type Models, type Reply, type Route } from './call.ts'
import { Failure } from './failure.ts'
import type { Model } from './model.ts'
import { writeV2Response } from './v2-response.ts'

/** Response to GET /v2. */
export interface ServerMetadata {
  readonly name: string
  readonly version: string
  readonly extensions: readonly string[]
}

/** The routes of V2. */
export function v2Routes(models: Models, server: ServerMetadata): Route[] {
  const model = String.raw`^/v2/models/(?<model>[^/]+)`
  const version = String.raw`/versions/[^/]+`
  return [
    { method: 'GET', path: /^\/v2$/, handle: () => JSON.stringify(server) },
    { method: 'GET', path: /^\/v2\/health\/live$/, handle: () => '{"live":true}' },
    { method: 'GET', path: /^\/v2\/health\/ready$/, handle: () => '{"ready":true}' },
    { method: 'GET', path: /^\/v2\/models$/, handle: () => JSON.stringify({ models: [...models.keys()] }) },
    {
      method: 'GET',
      path: new RegExp(`${model}$`),
      handle: (call) => JSON.stringify(metadataOf(modelOf(models, call))),
    },
    {
      method: 'GET',
      path: new RegExp(`${model}/ready$`),
      handle: (call) => JSON.stringify({ name: modelOf(models, call).name, ready: true }),
    },
    {
      method: 'POST',
      path: new RegExp(`${model}/infer$`),
      handle: (call) => infer(modelOf(models, call), call),
    },
    { method: 'GET', path: new RegExp(`${model}${version}$`), handle: versioned },
    { method: 'GET', path: new RegExp(`${model}${version}/ready$`), handle: versioned },
    { method: 'POST', path: new RegExp(`${model}${version}/infer$`), handle: versioned },
  ]
}

function versioned(): never {
  throw Failure.error(501, 'Model versioning not supported yet.')
}

function metadataOf({ name, inputs, outputs }: Model): object {
  return { name, versions: null, platform: 'onnx_onnxruntime', inputs, outputs }
}

async function infer(model: Model, call: Call): Promise<Reply> {
  const request = readV2Request(model, await call.body(), jsonLengthOf(call))
  const outputs = await model.run(request.inputs, request.outputs.map(nameOf), call.signal)
  // A request without an id is assigned one, as in KServe.
  return writeV2Response(model.name, request.id ?? randomUUID(), request.outputs, outputs)
}

const nameOf = ({ name }: V2Request['outputs'][number]): string => name

/**
 * Returns the number of JSON bytes in the body; undefined = all. As in KServe, a Content-Type other than JSON selects
 * the binary tensor extension, which requires the header Inference-Header-Content-Length.
 */
function jsonLengthOf(call: Call): number | undefined {
  const mediaType = mediaTypeOf(call.header('content-type') ?? '')
  const length = call.header('inference-header-content-length')
  if (mediaType === 'application/json' || mediaType.endsWith('+json')) {
    if (length === undefined) return undefined
    throw Failure.detail(
      400,
      'There was an error parsing the body: a binary request must have the Content-Type application/octet-stream',
    )
  }
  if (length !== undefined && /^[1-9]\d{0,9}$/.test(length)) return Number(length)
  throw Failure.invalidInput(
    length === undefined
      ? `Header inference-header-content-length is missing, and Content-Type is not application/json but "${mediaType}"`
      : `Header inference-header-content-length is "${length}", not the number of bytes of the JSON part`,
  )
}
