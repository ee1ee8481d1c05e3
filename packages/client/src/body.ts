// Converts a body to bytes, and derives the operation from it.
import { operationOfBody, writeJson, type OperationName } from '@inferwire/protocol'

/**
 * A request body. An object or an array is sent as JSON, with typed arrays as lists and bigints with all their digits.
 * Text and the bytes of a Uint8Array are sent unchanged.
 */
export type RequestBody = object | string | Uint8Array

// Text above this size is not parsed just to derive the operation.
const LOOK_BYTES_MAX = 1024 * 1024
const encoder = new TextEncoder()

/** Returns the bytes to publish. @throws TypeError for values that JSON cannot represent */
export function toBytes(body: RequestBody | undefined): Uint8Array {
  if (body === undefined) return new Uint8Array(0)
  if (body instanceof Uint8Array) return body
  if (typeof body === 'string') return encoder.encode(body)
  if (typeof body !== 'object' || body === null) {
    throw new TypeError(`body is ${String(body)}; expected an object, text or bytes.`)
  }
  // A typed array or a buffer is ambiguous: the caller may mean a list of numbers, or the bytes in memory.
  if (ArrayBuffer.isView(body) || body instanceof ArrayBuffer) {
    throw new TypeError(
      `body is of type ${body.constructor.name}; put it into an object such as {instances: [...]}, or pass its bytes as a Uint8Array.`,
    )
  }
  return encoder.encode(writeJson(body))
}

/** Returns `predict` for a V1 body (`instances`), `infer` for a V2 body (`inputs`), and undefined for all others. */
export function operationOf(body: RequestBody | undefined): OperationName | undefined {
  return operationOfBody(typeof body === 'string' || body instanceof Uint8Array ? parsed(body) : body)
}

function parsed(body: string | Uint8Array): unknown {
  if (body.length > LOOK_BYTES_MAX) return undefined
  try {
    return JSON.parse(typeof body === 'string' ? body : new TextDecoder().decode(body)) as unknown
  } catch {
    return undefined
  }
}
