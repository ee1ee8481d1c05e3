// The error for an invalid configuration. It lists all mistakes, each with its place and remedy.

/** A mistake in a configuration. */
export interface ConfigMistake {
  /** Path of the option, such as `models.iris.url`; empty if the mistake concerns the whole file. */
  readonly path: string
  /** Where the option was set: `inferwire.yaml:12:5`, `environment variable INFERWIRE_ROOT`, `command line`. */
  readonly source: string
  /** The rest of the sentence that starts with source and path: `is not an option; did you mean "url"?`. */
  readonly message: string
}

// Limit on the mistakes that are shown: a file that is not a configuration may have one on every line.
const SHOWN_MAX = 50

/** Contains all mistakes in a configuration. The command line exits with 78 (EX_CONFIG). */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  /** The mistakes in environment variables and flags, then the mistakes in the file, in the order of the file. */
  readonly mistakes: readonly ConfigMistake[]

  constructor(mistakes: readonly ConfigMistake[]) {
    const sorted = mistakes.toSorted(byPlace)
    super(
      [
        mistakes.length === 1
          ? 'The configuration has a mistake:'
          : `The configuration has ${mistakes.length} mistakes:`,
        ...sorted
          .slice(0, SHOWN_MAX)
          .map(({ path, source, message }) => `  ${source}: ${path === '' ? '' : `${path}: `}${message}`),
        ...(mistakes.length > SHOWN_MAX ? [`  and ${mistakes.length - SHOWN_MAX} more`] : []),
      ].join('\n'),
    )
    this.mistakes = sorted
  }
}

function byPlace(one: ConfigMistake, other: ConfigMistake): number {
  const [line, column] = placeIn(one.source)
  const [otherLine, otherColumn] = placeIn(other.source)
  return line - otherLine || column - otherColumn
}

function placeIn(source: string): [line: number, column: number] {
  const [, line = 0, column = 0] = /:(\d+):(\d+)$/.exec(source) ?? []
  return [Number(line), Number(column)]
}
