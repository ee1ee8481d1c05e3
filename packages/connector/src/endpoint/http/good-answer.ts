// Validates a successful response. The body remains unchanged, and keeps the content type that the server sent.
import { Problem } from '@inferwire/protocol'
import type { EndpointResponse } from '../../step.ts'
import {
  hasForeignCharset,
  isJsonType,
  isPlainText,
  JSON_TYPE,
  passable,
  UNKNOWN_TYPE,
} from './content-type.ts'
import type { HttpAnswer } from './http-call.ts'
import { isWholeJson } from './whole-json.ts'

const OPEN_OBJECT = 0x7b

/**
 * Converts a successful response that is not a web page. With `isReadiness` (a readiness request) the body may be empty.
 * @throws Problem `upstream_invalid_response` if the response is empty, encoded, mislabelled or incomplete.
 */
export function goodAnswer(answer: HttpAnswer, address: string, isReadiness: boolean): EndpointResponse {
  const { status, inferenceHeaderContentLength, isBodySent } = answer
  checkBody(answer, address, isReadiness)
  const contentType = typeOf(answer, address)
  return { status, body: answer.body, contentType, inferenceHeaderContentLength, isBodySent }
}

// An empty body, as with 204 (RFC 9110 §15.3.5), is not an inference result.
function checkBody({ status, body, coding }: HttpAnswer, address: string, isReadiness: boolean): void {
  if (body.length === 0) {
    if (isReadiness) return
    throw new Problem('upstream_invalid_response', "The model server's response is empty.", {
      detail: `${address}: ${status} without a body`,
    })
  }
  if (coding === undefined) return
  throw new Problem('upstream_invalid_response', "The model server's response is compressed or encoded.", {
    detail: `${address}: ${status} with coding "${coding.slice(0, 100)}", but the request accepts only identity. Disable compression in front of the model.`,
  })
}

/** @throws Problem if the body does not match the response's header fields. */
function typeOf(answer: HttpAnswer, address: string): string {
  const { body, contentType, inferenceHeaderContentLength } = answer
  if (inferenceHeaderContentLength !== undefined) {
    checkJsonLength(inferenceHeaderContentLength, body.length, address)
    // KServe's own server sends binary responses without a Content-Type. Only inference-header-content-length
    // identifies them.
    return UNKNOWN_TYPE
  }
  if (contentType === undefined || body.length === 0) return passable(contentType)
  if (contentType === JSON_TYPE) {
    checkJson(answer, address)
    return JSON_TYPE
  }
  // The body is not checked: in other charsets, such as UTF-16, JSON's punctuation is not always encoded as ASCII
  // bytes.
  if (hasForeignCharset(contentType)) return passable(contentType)
  if (isJsonType(contentType)) {
    checkJson(answer, address)
    return /^application\/json\b/i.test(contentType) ? JSON_TYPE : passable(contentType)
  }
  return isBatchersJson(contentType, body) ? JSON_TYPE : passable(contentType)
}

function checkJson(answer: HttpAnswer, address: string): void {
  if (isWholeJson(asBuffer(answer.body))) return
  throw invalid("The model server's response is not complete JSON.", answer, address)
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
    "The model server's response has an invalid inference-header-content-length.",
    {
      detail: `${address}: inference-header-content-length "${value.slice(0, 20)}", body of ${bodyBytes} bytes`,
    },
  )
}

// KServe's batcher does not set the Content-Type, so Go labels its JSON as text/plain.
function isBatchersJson(contentType: string, body: Uint8Array): boolean {
  return isPlainText(contentType) && body[0] === OPEN_OBJECT && isWholeJson(asBuffer(body))
}

function asBuffer(body: Uint8Array): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.length)
}
