// What is wrong with a configuration: everything at once, with place, value, expectation and remedy.

/** One mistake. */
export interface ConfigMistake {
  /** Such as `models.iris.url`; empty for the file as a whole. */
  readonly path: string
  /** Where it came from: `inferwire.yaml:12:5`, `environment variable INFERWIRE_ROOT`, `command line`. */
  readonly source: string
  /** One sentence. */
  readonly message: string
}

// A file that is something else altogether has a mistake on every line.
const SHOWN_MAX = 50

/** All mistakes of a configuration. A program that cannot start because of it exits with 78 (EX_CONFIG). */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly mistakes: readonly ConfigMistake[]

  constructor(mistakes: readonly ConfigMistake[]) {
    super(
      [
        mistakes.length === 1
          ? 'The configuration has a mistake:'
          : `The configuration has ${mistakes.length} mistakes:`,
        ...mistakes
          .slice(0, SHOWN_MAX)
          .map(({ path, source, message }) => `  ${source}: ${path === '' ? '' : `${path}: `}${message}`),
        ...(mistakes.length > SHOWN_MAX ? [`  and ${mistakes.length - SHOWN_MAX} more`] : []),
      ].join('\n'),
    )
    this.mistakes = mistakes
  }
}
