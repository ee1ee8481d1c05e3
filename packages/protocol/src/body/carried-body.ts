// A body that consists of JSON, optionally followed by binary tensors.
import { BodyError } from './body-error.ts'
import { JsonSyntaxError, parseJson, type Json } from './json.ts'

/** A body as it is sent: JSON, optionally followed by binary tensors. */
export interface CarriedBody {
  readonly body: Uint8Array
  /** Length of the JSON in bytes if binary tensors follow; undefined if the body is only JSON. */
  readonly jsonLength: number | undefined
}

/** The parts of a request's body: JSON, followed by the binary tensors in the order of their inputs. */
export class BodyParts {
  readonly #json: Uint8Array
  #rest: Uint8Array

  /** @throws BodyError `invalid_input` if the body is shorter than its JSON */
  constructor(body: Uint8Array, jsonLength: number) {
    if (jsonLength > body.length) {
      throw new BodyError(
        'invalid_input',
        `Header inference-header-content-length is ${jsonLength}, but the body has ${body.length} bytes`,
      )
    }
    this.#json = body.subarray(0, jsonLength)
    this.#rest = body.subarray(jsonLength)
  }

  /** Number of bytes that have not been assigned to an input. */
  get bytesLeft(): number {
    return this.#rest.length
  }

  /** Parses the JSON. @param nonFinite accepts the tokens NaN, Infinity and -Infinity */
  json(nonFinite: boolean): Json {
    if (this.#json.length === 0) throw new BodyError('missing', 'Field required')
    try {
      return parseJson(this.#json, { nonFinite })
    } catch (error) {
      if (!(error instanceof JsonSyntaxError)) throw error
      throw new BodyError('json_invalid', `JSON decode error: ${error.message}`, [error.offset])
    }
  }

  /** Returns the next `size` bytes: a view of the body. */
  take(name: string, size: number): Uint8Array {
    if (size > this.#rest.length) {
      throw new BodyError(
        'invalid_value',
        `input "${name}" declares ${size} bytes of binary data, but only ${this.#rest.length} remain`,
      )
    }
    const taken = this.#rest.subarray(0, size)
    this.#rest = this.#rest.subarray(size)
    return taken
  }
}
