// A value that must not be shown. If it is printed by accident, `***` appears instead.
import { inspect } from 'node:util'

/** The text that is shown instead of a secret. */
export const MASK = '***'

/** Holds a secret. Only `reveal()` returns it; as a string, in JSON and in `util.inspect` it appears as `***`. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** Returns the secret. Only for sending it: never put it into a message, a log line or an error. */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return MASK
  }

  toJSON(): string {
    return MASK
  }

  [inspect.custom](): string {
    return MASK
  }
}
