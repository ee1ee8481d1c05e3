// Checks a request: Retain flag, size, content type, and the first byte of the body. The body is parsed only if bodies
// of its dialect name the model.
import { DIALECTS, Problem, PROPERTY, userProperty, type DialectKind } from '@inferwire/protocol'
import type { BoundOperation, Delivery, ExposedModel, ModelPlace, RequestContentType } from '../step.ts'
import { findNamedModel } from './named-model.ts'

/** The parts of a delivery that are checked. */
export type Judged = Pick<
  Delivery,
  'retain' | 'payload' | 'payloadBytes' | 'propertyBytes' | 'isWhole' | 'properties'
>

/** How the body is sent to the model server. */
export interface JudgedBody {
  readonly contentType: RequestContentType
  readonly inferenceHeaderContentLength: string | undefined
  /** Where the body names the model; undefined if the dialect's bodies do not name it. */
  readonly modelPlace?: ModelPlace
}

// Correlation Data alone can take 64 KiB, and all properties of a request stay in memory while it waits.
const PROPERTY_BYTES_MAX = 64 * 1024

const JSON_BODY: JudgedBody = {
  contentType: 'application/json',
  inferenceHeaderContentLength: undefined,
}

/**
 * Checks the payload and properties. `clientBytesMax` is the largest body that the policy allows to the client. @throws Problem `retained_request`, `payload_too_large`, `bad_payload`,
 * `unsupported_content_type`, `forbidden_model`.
 */
export function judgePayload(
  delivery: Judged,
  model: ExposedModel,
  operation: BoundOperation,
  clientBytesMax = Infinity,
): JudgedBody {
  const { payloadBytes, properties, payload } = delivery
  if (delivery.retain) {
    throw new Problem(
      'retained_request',
      'The request was published with the Retain flag. Publish it without the flag, and delete the retained message.',
    )
  }
  if (delivery.propertyBytes > PROPERTY_BYTES_MAX) {
    throw new Problem(
      'payload_too_large',
      `The properties are ${delivery.propertyBytes} bytes long; the limit is ${PROPERTY_BYTES_MAX}.`,
    )
  }
  if (!operation.hasBody && delivery.isWhole) return JSON_BODY
  if (payloadBytes > model.requestBytesMax || !delivery.isWhole) {
    throw new Problem(
      'payload_too_large',
      `The body is ${payloadBytes} bytes long; model "${model.name}" accepts at most ${model.requestBytesMax}.`,
    )
  }
  if (payloadBytes > clientBytesMax) {
    throw new Problem(
      'payload_too_large',
      `The body is ${payloadBytes} bytes long; this client may send at most ${clientBytesMax} to model "${model.name}".`,
      { detail: 'The limit is requestBytesMax of the matching rules in policy.allow.' },
    )
  }
  if (payloadBytes === 0) {
    throw new Problem(
      'bad_payload',
      `The body is empty; operation "${operation.name}" needs the request as JSON.`,
    )
  }
  const { contentType } = properties
  if (contentType !== undefined && operation.contentTypes?.has(contentType) === true) {
    return { contentType, inferenceHeaderContentLength: undefined }
  }
  const length = userProperty(properties.userProperties, PROPERTY.inferenceHeaderContentLength)
  if (contentType === undefined && length !== undefined && DIALECTS[operation.protocol].hasBinaryTensors) {
    // The user property alone marks the body as binary, because KServe's and Triton's clients omit the Content Type.
    return binaryBody(length, payloadBytes)
  }
  if (contentType === undefined || contentType === 'application/json' || isJsonWithParameters(contentType)) {
    return jsonBody(payload, model, operation, length)
  }
  checkBinaryType(contentType, operation)
  return binaryBody(length, payloadBytes)
}

function jsonBody(
  payload: Buffer,
  model: ExposedModel,
  operation: BoundOperation,
  length: string | undefined,
): JudgedBody {
  if (length !== undefined) {
    const { hasBinaryTensors } = DIALECTS[operation.protocol]
    throw new Problem(
      'bad_payload',
      `User property "${PROPERTY.inferenceHeaderContentLength}" is for binary tensors; ${hasBinaryTensors ? 'publish them with Content Type application/octet-stream, or omit the property' : `operation "${operation.name}" does not accept them, so omit the property`}.`,
    )
  }
  if (!beginsLikeJsonObject(payload)) {
    throw new Problem('bad_payload', 'The body is not a JSON object: it does not begin with "{".')
  }
  const { modelMember }: DialectKind = DIALECTS[operation.protocol]
  if (modelMember === undefined) return JSON_BODY
  return { ...JSON_BODY, modelPlace: findNamedModel(payload, modelMember, model.name) }
}

function checkBinaryType(contentType: string, { name, protocol, contentTypes }: BoundOperation): void {
  const { hasBinaryTensors } = DIALECTS[protocol]
  if (contentType === 'application/octet-stream' && hasBinaryTensors) return
  const accepted = [
    'application/json',
    ...(hasBinaryTensors ? ['application/octet-stream'] : []),
    ...(contentTypes ?? []),
  ]
  throw new Problem('unsupported_content_type', `Operation "${name}" accepts ${accepted.join(' or ')}.`)
}

// The binary tensor extension: JSON first, then the tensors' bytes (Open Inference Protocol, binary data extension).
function binaryBody(length: string | undefined, payloadBytes: number): JudgedBody {
  if (length === undefined || !/^\d{1,9}$/.test(length) || Number(length) > payloadBytes) {
    throw new Problem(
      'bad_payload',
      `User property "${PROPERTY.inferenceHeaderContentLength}" must specify how many bytes of the body are JSON (0 to ${payloadBytes}).`,
    )
  }
  return {
    contentType: 'application/octet-stream',
    inferenceHeaderContentLength: length,
  }
}

// KServe V1 mistakes "application/json; charset=utf-8" for raw bytes, so parameters are removed.
function isJsonWithParameters(contentType: string): boolean {
  return /^application\/json\s*(?:;|$)/i.test(contentType)
}

// RFC 8259 §2: white space, then "{". The model server checks the rest; parsing and reserializing would change numbers.
function beginsLikeJsonObject(body: Buffer): boolean {
  for (const byte of body) {
    if (byte === 0x7b) return true
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return false
  }
  return false
}
