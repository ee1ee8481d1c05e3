// The bundled language model `toy-chat`: counts the words of one old book, and writes nonsense in its style.
import { readFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { EMBEDDING_DIMENSIONS, embedText } from './embed.ts'
import {
  PromptTooLong,
  tokensAllowed,
  type ChatMessage,
  type LanguageModel,
  type Piece,
  type Sampling,
} from './language-model.ts'
import { END, Ngrams } from './ngrams.ts'
import { randomNumbers, sample } from './sample.ts'
import { countTokens, tokenize, wordOf } from './tokenize.ts'

const CONTEXT_TOKENS = 32_768

/** An answer starts with at most this many tokens copied from the book. */
const OPENING_TOKENS_MAX = 12

/** A chat answer with fewer tokens continues with another paragraph, so that it is long enough to watch as a stream. */
const ANSWER_TOKENS_MIN = 60
const NEW_PARAGRAPH = '\n\n'

/** A word that occurs more often than this in the book does not indicate the topic of a message. */
const TOPIC_COUNT_MAX = 200

interface Book {
  readonly ngrams: Ngrams
  readonly openings: Openings
}

/** Returns the model `toy-chat`: n-grams of the text in `texts/alice.txt`. The first request reads the file. */
export function toyModel(): LanguageModel {
  let opened: Book | undefined
  const openBook = (): Book => (opened ??= readBook())
  return {
    name: 'toy-chat',
    description:
      "A toy that only repeats which words follow each other in Alice's Adventures in Wonderland. It understands nothing.",
    contextTokens: CONTEXT_TOKENS,
    embeddingDimensions: EMBEDDING_DIMENSIONS,
    async chat(messages, sampling, signal) {
      const promptTokens = countTokens(messages.map(toPrompt).join(''), CONTEXT_TOKENS)
      const tokensMax = tokensAllowed(sampling, promptTokens, CONTEXT_TOKENS)
      const { ngrams, openings } = openBook()
      const random = randomNumbers(sampling.seed)
      const question = messages.findLast(({ role }) => role === 'user')?.content ?? ''
      const opening = openings.find(question, random)
      const start = { opening, prompt: [], tokensMin: ANSWER_TOKENS_MIN, tokensMax }
      return { promptTokens, pieces: generate(ngrams, start, sampling, random, signal) }
    },
    async complete(prompt, sampling, signal) {
      const promptTokens = countTokens(prompt, CONTEXT_TOKENS)
      const tokensMax = tokensAllowed(sampling, promptTokens, CONTEXT_TOKENS)
      const random = randomNumbers(sampling.seed)
      const start = { opening: [], prompt: tokenize(prompt).slice(-2), tokensMin: 0, tokensMax }
      return {
        promptTokens,
        pieces: generate(openBook().ngrams, start, sampling, random, signal),
      }
    },
    embed(text) {
      const tokens = countTokens(text, CONTEXT_TOKENS)
      if (tokens > CONTEXT_TOKENS) {
        throw new PromptTooLong(`The text has more than ${CONTEXT_TOKENS} tokens, which is the maximum.`)
      }
      return { vector: embedText(text), tokens }
    },
    release: async () => undefined,
  }
}

function readBook(): Book {
  const ngrams = new Ngrams(readFileSync(new URL('../../texts/alice.txt', import.meta.url), 'utf8'))
  return { ngrams, openings: new Openings(ngrams) }
}

function toPrompt({ role, content }: ChatMessage): string {
  return `${role}: ${content}\n`
}

interface Start {
  /** The first tokens of the text. */
  readonly opening: readonly string[]
  /** The last tokens of the prompt, at most two. The text continues the prompt. */
  readonly prompt: readonly string[]
  /** The text ends only at the end of a paragraph, and only after at least this many tokens. */
  readonly tokensMin: number
  readonly tokensMax: number
}

/** Generates the opening and then random tokens, one token per piece. */
async function* generate(
  ngrams: Ngrams,
  { opening, prompt, tokensMin, tokensMax }: Start,
  sampling: Sampling,
  random: () => number,
  signal: AbortSignal,
): AsyncGenerator<Piece> {
  let [before, last] = [prompt.at(-2), prompt.at(-1) ?? END]
  for (let count = 0; count < tokensMax; count++) {
    // Lets other requests of the process run while a long text is generated.
    if (count % 16 === 15) await setImmediate()
    signal.throwIfAborted()
    const token = opening[count] ?? choose(ngrams, before, last, sampling, random)
    if (token === END && count >= tokensMin) {
      yield { text: '', tokens: 0, finish: 'stop' }
      return
    }
    yield { text: token === END ? NEW_PARAGRAPH : token, tokens: 1 }
    before = last
    last = token
  }
  yield { text: '', tokens: 0, finish: 'length' }
}

function choose(
  ngrams: Ngrams,
  before: string | undefined,
  last: string,
  sampling: Sampling,
  random: () => number,
): string {
  if (sampling.temperature === 1 && sampling.topP === 1) return ngrams.draw(before, last, random)
  return sample(ngrams.next(before, last), sampling, random)
}

/** Finds sentences of the book that contain a word of a question. */
class Openings {
  readonly #ngrams: Ngrams
  /** For each word near the start of a sentence, the passages from that start to just after the word. */
  readonly #places = new Map<string, { readonly start: number; readonly end: number }[]>()

  constructor(ngrams: Ngrams) {
    this.#ngrams = ngrams
    for (const start of ngrams.sentences()) {
      for (let at = start; at < start + OPENING_TOKENS_MAX && ngrams.tokens[at] !== END; at++) {
        const word = wordOf(ngrams.tokens[at]!)
        if (at > start && /^[.!?]$/.test(word)) break
        const places = this.#places.get(word) ?? []
        this.#places.set(word, places)
        places.push({ start, end: at + 1 })
      }
    }
  }

  /**
   * Returns the beginning of a sentence up to the rarest word of the question; empty if none of the words is in the
   * book.
   */
  find(question: string, random: () => number): string[] {
    const found = tokenize(question)
      .map((token) => wordOf(token))
      .filter((word) => /\p{L}/u.test(word))
      .map((word) => this.#places.get(word) ?? [])
      .filter((places) => places.length > 0 && places.length <= TOPIC_COUNT_MAX)
      .sort((left, right) => left.length - right.length)
    const places = found[0]
    if (places === undefined) return []
    const { start, end } = places[Math.floor(random() * places.length)]!
    const tokens = this.#ngrams.tokens.slice(start, end)
    // Every token except the first keeps the space before it.
    return [tokens[0]!.trimStart(), ...tokens.slice(1)]
  }
}
