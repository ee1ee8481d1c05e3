// What a requirement is: a promise with its proof, or with the reason why there is none yet.

/** One thing that Inferwire must do. Exactly one of `tests` and `gap` is set. */
export interface Requirement {
  /** Stable: other documents and tests cite it. */
  readonly id: string
  /** Where it is asked for. */
  readonly source: string
  /** One sentence. Problem codes stand in backticks. */
  readonly text: string
  /** `file > title`, or `file > group > title`; the beginning of a title is enough. Together they prove all of it. */
  readonly tests?: readonly string[]
  /** Why it is not proven yet. */
  readonly gap?: string
  /** Beside a gap: the tests that prove a part. */
  readonly partly?: readonly string[]
}

/** Proven. */
export function met(id: string, source: string, text: string, ...tests: string[]): Requirement {
  return { id, source, text, tests }
}

/** Not proven, or only partly. */
export function open(
  id: string,
  source: string,
  text: string,
  gap: string,
  ...partly: string[]
): Requirement {
  return { id, source, text, gap, ...(partly.length === 0 ? {} : { partly }) }
}
