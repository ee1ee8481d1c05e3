// Sends a query about a model to its server: a GET request with a short deadline.
import { Problem, type Route } from '@inferwire/protocol'
import { AskDeadline } from '../ask-deadline.ts'
import { isWebPage } from './content-type.ts'
import { callHttp, type HttpAnswer } from './http-call.ts'
import { IDENTITY_ONLY, type HttpTarget } from './http-endpoint.ts'
import { judgeAnswer } from './judge-answer.ts'
import { withFreshToken } from './with-fresh-token.ts'

const METADATA_BYTES_MAX = 256 * 1024

/** A JSON object from a server. */
export type Metadata = Readonly<Record<string, unknown>>

/**
 * Sends a request without a body, and returns the JSON object of its answer; undefined for a 404, which means that the
 * server does not have the dialect, the model or the version.
 * @throws Problem for any other answer, and once `signal` is aborted
 */
export async function ask(
  target: HttpTarget,
  route: Route,
  signal: AbortSignal,
): Promise<Metadata | undefined> {
  const address = addressOf(target, route)
  const answer = await askForAnswer(target, route, signal)
  const isGateway = answer.body.length === 0 && answer.contentType === undefined
  if (answer.status === 404 && !isGateway && !isWebPage(answer.contentType)) return undefined
  const { host, errorText, serviceTime } = target
  return readMetadata(judgeAnswer(answer, address, { host, errorText, serviceTime }).body, address)
}

/** Sends a request without a body, and returns the answer, whatever it is. @throws Problem if there is no answer */
export async function askForAnswer(
  target: HttpTarget,
  route: Route,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const address = addressOf(target, route)
  const deadline = new AskDeadline(address, signal)
  try {
    const host = target.host === undefined ? [] : ['host', target.host]
    const request = {
      method: route.method,
      path: target.pathPrefix + route.path,
      body: null,
      responseBytesMax: METADATA_BYTES_MAX,
      deadline,
      address,
    }
    const { credential, origin, pool } = target
    return await withFreshToken({
      credential,
      origin,
      deadline,
      send: (proof) =>
        callHttp(pool, { ...request, headers: [...host, ...IDENTITY_ONLY, ...proof] }, (whole) => whole),
      mayRepeat: () => true,
    })
  } finally {
    deadline.end()
  }
}

function addressOf({ origin, pathPrefix }: HttpTarget, { method, path }: Route): string {
  return `${method} ${origin}${pathPrefix}${path}`
}

// A JSON text may be any value (RFC 8259 §2), but only an object describes a model. TextDecoder removes a byte order
// mark.
function readMetadata(body: Uint8Array, address: string): Metadata {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder().decode(body))
  } catch {
    value = undefined
  }
  if (isObject(value)) return value
  throw new Problem('upstream_invalid_response', "The model server's metadata is not a JSON object.", {
    detail: address,
  })
}

/** Returns true for a JSON object. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
