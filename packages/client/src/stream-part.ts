// One part of a streamed answer.
import { InferwireError } from './error.ts'
import type { Message } from './transport.ts'

/** One part of a streamed answer: the data of one event of the model server. */
export class StreamPart {
  /** The number of the part, counted from 0. */
  readonly seq: number
  readonly body: Uint8Array
  readonly contentType: string | undefined
  readonly #model: string

  /** @internal */
  constructor(model: string, seq: number, { payload, properties }: Message) {
    this.#model = model
    this.seq = seq
    this.body = payload
    this.contentType = properties.contentType
  }

  /** Decodes the body. @throws InferwireError `upstream_invalid_response` if it is not UTF-8 */
  text(): string {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(this.body)
    } catch (error) {
      throw this.#invalid('is not UTF-8', error)
    }
  }

  /** Parses the body with JSON.parse. @throws InferwireError `upstream_invalid_response` if it is not JSON */
  json(): unknown {
    const text = this.text()
    try {
      return JSON.parse(text) as unknown
    } catch (error) {
      throw this.#invalid(`is not JSON: ${(error as Error).message}`, error)
    }
  }

  #invalid(what: string, cause: unknown): InferwireError {
    return new InferwireError(
      'upstream_invalid_response',
      `Part ${this.seq} of the stream of model "${this.#model}" ${what}.`,
      { model: this.#model, body: this.body, retryable: false, cause },
    )
  }
}
