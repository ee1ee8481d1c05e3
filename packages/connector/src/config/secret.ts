// A value that must not be shown: it prints as `***` wherever somebody prints it by accident.
import { inspect } from 'node:util'

/** What stands in place of a secret. */
export const MASK = '***'

/** Holds a secret. Only `reveal()` gives it out; strings, JSON and `util.inspect` show `***`. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The secret itself. For the wire only: never put it into a message, a log line or an error. */
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
