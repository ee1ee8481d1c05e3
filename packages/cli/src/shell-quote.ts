// Makes words safe to paste into a POSIX shell.

const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/

/** One word for a POSIX shell: as it is where that is safe, else in single quotes. */
export function shellQuote(word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

/** A word that is already shell source, such as `"$(cat file)"`. */
export class ShellSource {
  readonly source: string

  constructor(source: string) {
    this.source = source
  }
}

/** A command line of quoted words. */
export function shellLine(words: readonly (string | ShellSource)[]): string {
  return words.map((word) => (word instanceof ShellSource ? word.source : shellQuote(word))).join(' ')
}
