// Quotes words for a POSIX shell.

const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/

/** Quotes one word for a POSIX shell; a word that is safe without quotes is returned unchanged. */
export function shellQuote(word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

/** Shell source that must not be quoted, such as `"$(cat file)"`. */
export class ShellSource {
  readonly source: string

  constructor(source: string) {
    this.source = source
  }
}

/** Joins words into a command line and quotes them where needed. */
export function shellLine(words: readonly (string | ShellSource)[]): string {
  return words.map((word) => (word instanceof ShellSource ? word.source : shellQuote(word))).join(' ')
}
