// Errors in the format of OpenAI's API, with vLLM's names for the error types.
import { Failure } from '../failure.ts'

const TYPES: Readonly<Record<number, string>> = {
  400: 'BadRequestError',
  404: 'NotFoundError',
  413: 'RequestEntityTooLargeError',
  415: 'UnsupportedMediaTypeError',
  501: 'NotImplementedError',
  503: 'ServiceUnavailableError',
}

/** The body of an error response, and of the event that reports an error in the middle of a stream. */
export function errorBody(
  status: number,
  message: string,
  param: string | null = null,
): { readonly error: object } {
  const type = TYPES[status] ?? 'InternalServerError'
  return { error: { message, type, param, code: status } }
}

/** Returns an error response. `param` names the invalid member of the request. */
export function openAiFailure(status: number, message: string, param: string | null = null): Failure {
  return Failure.withBody(status, message, (text) => errorBody(status, text, param))
}

/** Converts any error of a route, such as 413 for a body that is too large, to OpenAI's format. */
export function toOpenAi(error: unknown): Failure {
  const failure = Failure.from(error)
  return Failure.withBody(
    failure.status,
    failure.message,
    // An error that is already in OpenAI's format keeps its `param`.
    (text) => (isOpenAi(failure.body) ? failure.body : errorBody(failure.status, text)),
    failure.headers,
  )
}

function isOpenAi(body: object): boolean {
  return 'error' in body && typeof body.error === 'object'
}
