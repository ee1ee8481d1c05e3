// Converts between the body of an MQTT message and the messages of ModelInfer.
import {
  BodyError,
  Problem,
  readBareTensor,
  readMessage,
  writeMessage,
  type DeclaredInput,
  type MessageRequest,
} from '@inferwire/protocol'
import type { EndpointRequest } from '../../step.ts'
import { JSON_TYPE, UNKNOWN_TYPE } from '../http/content-type.ts'
import { fromWireResponse, WireError } from './from-wire.ts'
import { addressOf, invalidResponse, type GrpcTarget } from './grpc-target.ts'
import type { DecodedResponse } from './decode-response.ts'
import { tooLarge } from './call-problems.ts'

/** Returns a model's inputs, which determine the shape of a body without JSON. @throws Problem */
export type AskInputs = (request: EndpointRequest) => Promise<readonly DeclaredInput[]>

/** A V2 body over HTTP. */
export interface V2Answer {
  readonly body: Uint8Array
  readonly contentType: string
  readonly inferenceHeaderContentLength: string | undefined
}

// The message of a BodyError quotes the body, so it is shortened to this length.
const ERROR_CHARACTERS_MAX = 300

// A JSON body is converted within one turn of the event loop. Measured on a loaded machine, this many bytes took 20 to 40
// ms of CPU time for numbers of 17 digits, 70 to 290 ms for a tensor of one-digit numbers, and up to 450 ms for 70,000
// parameters.
const JSON_BYTES_MAX = 1024 * 1024

/** Reads the body of a request. @throws Problem `bad_payload`, `payload_too_large` for too much JSON */
export async function readRequest(request: EndpointRequest, askInputs: AskInputs): Promise<MessageRequest> {
  const { body, contentType, inferenceHeaderContentLength } = request
  const isJson = contentType === JSON_TYPE
  const jsonLength = isJson ? body.length : Number(inferenceHeaderContentLength)
  if (jsonLength > JSON_BYTES_MAX) throw tooMuchJson(jsonLength)
  if (isJson) return orBadPayload(() => readMessage(body))
  if (jsonLength > 0) return orBadPayload(() => readMessage(body, jsonLength))
  const inputs = await askInputs(request)
  return orBadPayload(() => readBareTensor(body, inputs))
}

/**
 * Writes a response as the HTTP servers do: JSON, except for outputs that the request wants as binary data.
 * @throws Problem `upstream_invalid_response`, `response_too_large`, and `bad_payload` for an unknown output
 */
export function writeResponse(
  response: DecodedResponse,
  request: MessageRequest,
  target: GrpcTarget,
  method: string,
): V2Answer {
  const { parts, jsonLength } = written(response, request, target, method)
  const bytes = parts.reduce((sum, part) => sum + part.length, 0)
  if (bytes > target.responseBytesMax) throw tooLargeFor(target, method)
  return {
    body: parts.length === 1 ? parts[0]! : Buffer.concat(parts, bytes),
    contentType: jsonLength === undefined ? JSON_TYPE : UNKNOWN_TYPE,
    inferenceHeaderContentLength: jsonLength === undefined ? undefined : String(jsonLength),
  }
}

function written(
  response: DecodedResponse,
  request: MessageRequest,
  target: GrpcTarget,
  method: string,
): ReturnType<typeof writeMessage> {
  try {
    return writeMessage(fromWireResponse(response), request, target.responseBytesMax)
  } catch (error) {
    if (error instanceof BodyError && error.code === 'too_large') throw tooLargeFor(target, method)
    if (error instanceof BodyError && error.code === 'invalid_input') throw badPayload(error)
    if (error instanceof BodyError || error instanceof WireError) {
      throw invalidResponse(target, method, error.message.slice(0, ERROR_CHARACTERS_MAX))
    }
    throw error
  }
}

function tooMuchJson(jsonLength: number): Problem {
  return new Problem(
    'payload_too_large',
    `The body has ${jsonLength} bytes of JSON; for a model over gRPC, ${JSON_BYTES_MAX} are allowed. Publish binary tensors.`,
  )
}

function tooLargeFor(target: GrpcTarget, method: string): Problem {
  return tooLarge(target.responseBytesMax, addressOf(target, method))
}

function orBadPayload(read: () => MessageRequest): MessageRequest {
  try {
    return read()
  } catch (error) {
    throw error instanceof BodyError ? badPayload(error) : error
  }
}

function badPayload({ path, message }: BodyError): Problem {
  const place = path.length === 0 ? '' : `${path.join('.')}: `
  const text = place + message
  const isLong = text.length > ERROR_CHARACTERS_MAX
  return new Problem(
    'bad_payload',
    `The body is invalid. ${isLong ? `${text.slice(0, ERROR_CHARACTERS_MAX)}…` : text}`,
  )
}
