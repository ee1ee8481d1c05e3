// The error for an unusable option, and the check of an option's text.

/** An unusable option. The message states what was expected. */
export class OptionError extends Error {
  override readonly name = 'OptionError'
  /** The path of the option, for example broker.storage. */
  readonly option: string
  /** How to correct the option, if the message does not explain it. */
  readonly remedy: string | undefined

  constructor(option: string, message: string, remedy?: string) {
    super(message)
    this.option = option
    this.remedy = remedy
  }
}

/** Checks the text of an option. @param expected completes the sentence of the error @throws OptionError */
export function check(option: string, value: string, pattern: RegExp, expected: string): void {
  if (!pattern.test(value)) throw new OptionError(option, `is "${value}"; expected ${expected}`)
}
