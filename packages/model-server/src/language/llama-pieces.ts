// Turns the tokens of one generation of node-llama-cpp into pieces of text with exact token counts.
import type { TextOptions } from './gguf-model.ts'

/** The part of node-llama-cpp's model that converts tokens to text. */
export interface Detokenizer {
  /** @param before the tokens before the converted ones: they determine, for example, whether a word needs a space */
  detokenize(tokens: readonly number[], specialTokens: boolean, before: readonly number[]): string
}

/** The part of node-llama-cpp's sequence that counts the generated tokens. */
export interface MeteredSequence {
  readonly tokenMeter: { readonly usedOutputTokens: number }
}

/** node-llama-cpp reads at most this number of tokens before the converted ones. */
const TOKENS_BEFORE = 3

/**
 * The pieces of one generation. The tokens that node-llama-cpp reports are not always those that the model generated:
 * if LlamaChat removes the space before the first word, it splits the rest of the word into tokens again. Therefore,
 * the sequence's meter counts the tokens.
 */
export class LlamaPieces {
  readonly #model: Detokenizer
  readonly #sequence: MeteredSequence
  readonly #options: TextOptions
  readonly #meterAtStart: number
  /** Tokens that are not passed on yet. */
  readonly #held: number[] = []
  #before: readonly number[]
  #counted = 0

  /** @param before the tokens that the text continues; none if the text is an answer of its own */
  constructor(
    model: Detokenizer,
    sequence: MeteredSequence,
    before: readonly number[],
    options: TextOptions,
  ) {
    this.#model = model
    this.#sequence = sequence
    this.#meterAtStart = sequence.tokenMeter.usedOutputTokens
    this.#before = before.slice(-TOKENS_BEFORE)
    this.#options = options
  }

  /** Passes on the text of reported tokens. */
  add(tokens: readonly number[]): void {
    this.#held.push(...tokens)
    if (this.#excess() === 0) this.#release()
  }

  /** Passes on the rest, and counts the tokens without text, such as the token that ends the text. */
  end(): void {
    this.#held.length = Math.max(0, this.#held.length - this.#excess())
    this.#release()
  }

  #release(): void {
    const text = this.#model.detokenize(this.#held, false, this.#before)
    this.#before = [...this.#before, ...this.#held].slice(-TOKENS_BEFORE)
    this.#held.length = 0
    const generated = Math.min(this.#generated(), this.#options.tokensMax)
    this.#options.onPiece({ text, tokens: generated - this.#counted })
    this.#counted = generated
  }

  // If the last token is not a whole character, node-llama-cpp generates one token more than the maximum.
  #excess(): number {
    return Math.max(0, this.#generated() - this.#options.tokensMax)
  }

  #generated(): number {
    return this.#sequence.tokenMeter.usedOutputTokens - this.#meterAtStart
  }
}
