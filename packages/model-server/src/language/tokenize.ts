// Splits text into the tokens of the toy model: words, numbers and punctuation marks.

/** The longest token in characters. Longer words are split, so that text without spaces has many tokens. */
const TOKEN_LENGTH_MAX = 24

const TOKEN = new RegExp(
  [
    // A word with the space before it. Apostrophes and hyphens inside a word belong to it.
    String.raw` ?[\p{L}\p{N}](?:[\p{L}\p{N}]|['’-](?=[\p{L}\p{N}])){0,${TOKEN_LENGTH_MAX - 1}}`,
    ' ?--',
    String.raw`\s`,
    '.',
  ].join('|'),
  'gsu',
)

/** Returns the tokens. Joining them gives back the text. */
export function tokenize(text: string): string[] {
  return text.match(TOKEN) ?? []
}

/**
 * Returns the number of tokens. If the length of the text implies more than `max` tokens, returns a lower bound
 * above `max`, so that a text of many megabytes is refused without being split.
 */
export function countTokens(text: string, max: number): number {
  // A token has at most TOKEN_LENGTH_MAX characters and one space.
  const least = Math.ceil(text.length / (TOKEN_LENGTH_MAX + 1))
  return least > max ? least : tokenize(text).length
}

/** Returns a token without the space before it, in lower case. */
export function wordOf(token: string): string {
  return token.trim().toLowerCase()
}
