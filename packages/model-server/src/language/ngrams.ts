// Counts, for each pair of tokens in a text, the tokens that follow the pair.
import { tokenize } from './tokenize.ts'

/** The token at the end of each paragraph. It is also the context of a paragraph's first token. */
export const END = '\n'

/**
 * The weight of the prediction from the last two tokens. The prediction from only the last token has the remaining
 * weight.
 */
const TWO_TOKENS_SHARE = 0.9

/** A text as tokens, with the positions of each token and of each pair of tokens. */
export class Ngrams {
  /** The tokens of all paragraphs. Each paragraph ends with `END`, and the list also begins with `END`. */
  readonly tokens: readonly string[]
  readonly #after: ReadonlyMap<string, readonly number[]>

  /** Counts the tokens of a text, which must contain at least one paragraph, one per line. */
  constructor(text: string) {
    const paragraphs = text.split('\n').filter((line) => line.trim() !== '')
    this.tokens = [END, ...paragraphs.flatMap((line) => [...tokenize(line.trim()), END])]
    const after = new Map<string, number[]>()
    for (let at = 1; at < this.tokens.length; at++) {
      for (const context of this.#contexts(this.tokens[at - 2], this.tokens[at - 1]!)) {
        const positions = after.get(context)
        if (positions === undefined) after.set(context, [at])
        else positions.push(at)
      }
    }
    this.#after = after
  }

  /**
   * Returns the probabilities of the next token. If the text does not contain the two tokens in sequence, only
   * `last` is used. If the text does not contain `last` either, the next token begins a paragraph.
   */
  next(before: string | undefined, last: string): Map<string, number> {
    const [two, one] = this.#positions(before, last)
    if (one.length === 0) return this.next(undefined, END)
    const probabilities = new Map<string, number>()
    const share = two.length === 0 ? 0 : TWO_TOKENS_SHARE
    this.#add(probabilities, two, share)
    this.#add(probabilities, one, 1 - share)
    return probabilities
  }

  /** Draws the next token with the probabilities of `next`, without computing all of them. */
  draw(before: string | undefined, last: string, random: () => number): string {
    const [two, one] = this.#positions(before, last)
    if (one.length === 0) return this.draw(undefined, END, random)
    const positions = two.length > 0 && random() < TWO_TOKENS_SHARE ? two : one
    return this.tokens[positions[Math.floor(random() * positions.length)]!]!
  }

  /** Returns the start of each sentence that begins with a capital letter: positions in `tokens`. */
  sentences(): number[] {
    const starts: number[] = []
    for (let at = 1; at < this.tokens.length; at++) {
      if (/^[.!?\n]$/.test(this.tokens[at - 1]!) && /^ ?\p{Lu}/u.test(this.tokens[at]!)) starts.push(at)
    }
    return starts
  }

  #positions(before: string | undefined, last: string): [readonly number[], readonly number[]] {
    const [two, one] = this.#contexts(before, last)
    return [this.#after.get(two) ?? [], this.#after.get(one) ?? []]
  }

  #contexts(before: string | undefined, last: string): [string, string] {
    return [`${before ?? END}\u0000${last}`, last]
  }

  #add(probabilities: Map<string, number>, positions: readonly number[], share: number): void {
    for (const at of positions) {
      const token = this.tokens[at]!
      probabilities.set(token, (probabilities.get(token) ?? 0) + share / positions.length)
    }
  }
}
