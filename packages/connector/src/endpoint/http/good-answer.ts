// Turns a successful answer into the reply's body and type: the bytes untouched, under the type that the server gave
// them.
import { Problem } from '@inferwire/protocol'
import type { EndpointResponse } from '../../step.ts'
import {
  hasForeignCharset,
  isJsonType,
  isPlainText,
  isWebPage,
  JSON_TYPE,
  passable,
  UNKNOWN_TYPE,
} from './content-type.ts'
import type { HttpAnswer } from './http-call.ts'
import { isWholeJson } from './whole-json.ts'

const OPEN_OBJECT = 0x7b

/**
 * `isReadiness`: the request asked whether the model is ready, which a status alone can say.
 * @throws Problem `upstream_invalid_response` when the answer is empty, encoded, mislabelled or incomplete.
 */
export function goodAnswer(answer: HttpAnswer, address: string, isReadiness: boolean): EndpointResponse {
  const { status, inferenceHeaderContentLength } = answer
  checkBody(answer, address, isReadiness)
  const contentType = typeOf(answer, address)
  return { status, body: answer.body, contentType, inferenceHeaderContentLength }
}

// RFC 9110 §15.3.5: 204 and an empty body say that there is nothing to send.
function checkBody({ status, body, coding }: HttpAnswer, address: string, isReadiness: boolean): void {
  if (body.length === 0) {
    if (isReadiness) return
    throw new Problem('upstream_invalid_response', 'The answer of the model server is empty.', {
      detail: `${address}: ${status} without a body`,
    })
  }
  if (coding === undefined) return
  throw new Problem('upstream_invalid_response', 'The answer of the model server is encoded.', {
    detail: `${address}: ${status} with the coding "${coding.slice(0, 100)}", although the request accepts identity only. Switch compression off in front of the model.`,
  })
}

/** @throws Problem where the body is not what its header fields say. */
function typeOf(answer: HttpAnswer, address: string): string {
  const { body, contentType, inferenceHeaderContentLength } = answer
  if (inferenceHeaderContentLength !== undefined) {
    checkJsonLength(inferenceHeaderContentLength, body.length, address)
    // KServe's own server sends binary answers without a Content-Type; this header alone tells them.
    return UNKNOWN_TYPE
  }
  if (contentType === undefined || body.length === 0) return passable(contentType)
  if (contentType === JSON_TYPE) {
    checkJson(answer, address)
    return JSON_TYPE
  }
  if (isWebPage(contentType))
    throw invalid('A web page answered instead of the model server.', answer, address)
  // In another charset a value need not begin with the byte of ASCII. A reader that knows the charset can judge it.
  if (hasForeignCharset(contentType)) return passable(contentType)
  if (isJsonType(contentType)) {
    checkJson(answer, address)
    return /^application\/json\b/i.test(contentType) ? JSON_TYPE : passable(contentType)
  }
  return isBatchersJson(contentType, body) ? JSON_TYPE : passable(contentType)
}

function checkJson(answer: HttpAnswer, address: string): void {
  if (isWholeJson(asBuffer(answer.body))) return
  throw invalid('The answer of the model server is not whole JSON.', answer, address)
}

function invalid(sentence: string, { status, contentType, body }: HttpAnswer, address: string): Problem {
  return new Problem('upstream_invalid_response', sentence, {
    detail: `${address}: ${status} ${contentType?.slice(0, 100)}, ${body.length} bytes`,
  })
}

function checkJsonLength(value: string, bodyBytes: number, address: string): void {
  if (/^\d{1,10}$/.test(value) && Number(value) <= bodyBytes) return
  throw new Problem(
    'upstream_invalid_response',
    'The answer of the model server does not say how much of it is JSON.',
    { detail: `${address}: inference-header-content-length "${value.slice(0, 20)}" of ${bodyBytes} bytes` },
  )
}

// KServe's batcher lets Go guess the type of its JSON, which gives text/plain.
function isBatchersJson(contentType: string, body: Uint8Array): boolean {
  return isPlainText(contentType) && body[0] === OPEN_OBJECT && isWholeJson(asBuffer(body))
}

function asBuffer(body: Uint8Array): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.length)
}
