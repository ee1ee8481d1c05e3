// What the caller gives as a body -> bytes, and the operation that such a body is made for.
import { operationOfBody, writeJson, type OperationName } from '@inferwire/protocol'

/**
 * A body: an object or an array becomes JSON, with typed arrays in it as lists and bigints with all their digits; text
 * and the bytes of a Uint8Array are sent as they are.
 */
export type RequestBody = object | string | Uint8Array

// Larger text is not parsed just to find out what it is for.
const LOOK_BYTES_MAX = 1024 * 1024
const encoder = new TextEncoder()

/** The bytes to publish. @throws TypeError for what JSON cannot carry: nothing else is sent in its place */
export function toBytes(body: RequestBody | undefined): Uint8Array {
  if (body === undefined) return new Uint8Array(0)
  if (body instanceof Uint8Array) return body
  if (typeof body === 'string') return encoder.encode(body)
  if (typeof body !== 'object' || body === null) {
    throw new TypeError(`body is ${String(body)}; expected an object, text or bytes.`)
  }
  // Numbers for a list, or bytes as they are in memory: only the caller knows.
  if (ArrayBuffer.isView(body) || body instanceof ArrayBuffer) {
    throw new TypeError(
      `body is of type ${body.constructor.name}; put it into an object such as {instances: [...]}, or give its bytes as a Uint8Array.`,
    )
  }
  return encoder.encode(writeJson(body))
}

/** `predict` for a V1 body (`instances`), `infer` for a V2 body (`inputs`); undefined for all others. */
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
