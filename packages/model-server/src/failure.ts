// Error responses: status and body as in KServe's Python server.
import { BodyError } from '@inferwire/protocol'

// Limits the length of messages, which may quote the whole body of a request.
const CHARACTERS_MAX = 1000

/** An error response. Its body follows KServe's errors.py: `{"error": text}`, or FastAPI's `{"detail": …}`. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly status: number
  readonly body: object
  readonly headers: Readonly<Record<string, string>>

  private constructor(
    status: number,
    text: string,
    body: object,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(text)
    this.status = status
    this.body = body
    this.headers = headers
  }

  /** Converts any error of a route into a response. */
  static from(error: unknown): Failure {
    if (error instanceof Failure) return error
    if (!(error instanceof BodyError)) return Failure.error(500, `InternalError : ${String(error)}`)
    switch (error.code) {
      case 'invalid_input':
        return Failure.invalidInput(error.message)
      case 'invalid_value':
        return Failure.raised('ValueError', error.message)
      case 'too_large':
        return Failure.error(500, error.message)
      case 'unsupported':
        return Failure.error(501, error.message)
      // The names of pydantic's rules, as in FastAPI's responses.
      case 'int_type':
      case 'json_invalid':
      case 'list_type':
      case 'missing':
      case 'model_attributes_type':
      case 'scalar_type':
      case 'string_type':
        return Failure.unprocessable(error.code, error.path, error.message)
    }
  }

  /** Returns `{"error": text}` with any status. */
  static error(status: number, text: string): Failure {
    return new Failure(status, text, { error: shorten(text) })
  }

  /** Returns a response. `body` creates its body from the text, which is shortened to the length limit. */
  static withBody(
    status: number,
    text: string,
    body: (text: string) => object,
    headers: Readonly<Record<string, string>> = {},
  ): Failure {
    return new Failure(status, text, body(shorten(text)), headers)
  }

  /** Returns a 400, as KServe does for InvalidInput. */
  static invalidInput(text: string): Failure {
    return Failure.error(400, text)
  }

  /**
   * Returns KServe's response to any exception in the model, even for invalid input: 500 `ValueError : …`. A wrong
   * number of features is therefore a 500, not a 400, in V1 and V2, as in KServe.
   */
  static raised(type: 'ValueError' | 'TypeError' | 'KeyError' | 'RuntimeError', text: string): Failure {
    return Failure.error(500, `${type} : ${text}`)
  }

  /** Returns a response in FastAPI's format: `{"detail": text}`. */
  static detail(status: number, text: string, headers: Readonly<Record<string, string>> = {}): Failure {
    return new Failure(status, text, { detail: text }, headers)
  }

  /**
   * Returns FastAPI's response to an invalid body: 422. Unlike KServe's server, this server does not repeat the invalid
   * input in the response.
   */
  static unprocessable(type: string, loc: readonly (string | number)[], msg: string): Failure {
    return new Failure(422, msg, { detail: [{ type, loc: ['body', ...loc.map(shorten)], msg }] })
  }
}

function shorten<T>(text: T): T | string {
  return typeof text === 'string' && text.length > CHARACTERS_MAX ? `${text.slice(0, CHARACTERS_MAX)}…` : text
}
