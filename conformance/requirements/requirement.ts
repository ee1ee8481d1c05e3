// The type of a requirement: a statement with the tests that prove it, or with the reason why it is not proven yet.

/** A required behaviour of Inferwire. Exactly one of `tests` and `gap` is set. */
export interface Requirement {
  /** The ID must not change, because documents and tests cite it. */
  readonly id: string
  /** The document that states the requirement. */
  readonly source: string
  /** One sentence. Problem codes are in backticks. */
  readonly text: string
  /**
   * `file > title`, or `file > group > title`; the beginning of a title is enough. Together the tests prove the whole
   * text.
   */
  readonly tests?: readonly string[]
  /** Reason why the requirement is not proven yet. */
  readonly gap?: string
  /** If there is a gap: the tests that prove a part of the text. */
  readonly partly?: readonly string[]
}

/** A proven requirement. */
export function met(id: string, source: string, text: string, ...tests: string[]): Requirement {
  return { id, source, text, tests }
}

/** A requirement that is not proven, or is proven only in part. */
export function open(
  id: string,
  source: string,
  text: string,
  gap: string,
  ...partly: string[]
): Requirement {
  return { id, source, text, gap, ...(partly.length === 0 ? {} : { partly }) }
}
