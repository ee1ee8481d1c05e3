// The interface of a language model, as the OpenAI routes use it.

/** A message of a chat. */
export interface ChatMessage {
  /** `system`, `user`, `assistant`, or another role of the client's choice. */
  readonly role: string
  readonly content: string
}

/** How to choose the tokens of one generation. */
export interface Sampling {
  /** The client's maximum number of tokens to generate, at least 1; undefined = at most `tokensDefault` tokens. */
  readonly tokensMax: number | undefined
  /** The maximum number of tokens if the client did not choose one. The context may allow fewer. */
  readonly tokensDefault: number
  /** 0 = always the most probable token; 1 = the model's own probabilities; larger values are more random. */
  readonly temperature: number
  /** Only the most probable tokens are considered, up to this sum of their probabilities; 0 < topP <= 1. */
  readonly topP: number
  /** The same seed and prompt give the same text; undefined = random. */
  readonly seed: number | undefined
}

/** A piece of generated text. */
export interface Piece {
  readonly text: string
  /** Number of tokens in the text. It may be 0 in the last piece. */
  readonly tokens: number
  /** In the last piece: why the text ends. `length` = it has reached the maximum number of tokens. */
  readonly finish?: 'stop' | 'length'
}

/** A started generation. */
export interface Generation {
  /** Number of tokens in the prompt. */
  readonly promptTokens: number
  /** The pieces of the text; the last piece has a `finish`. Leaving the loop over them stops the generation. */
  readonly pieces: AsyncIterable<Piece>
}

/** A model that continues text. */
export interface LanguageModel {
  readonly name: string
  readonly description: string
  /** Maximum total number of tokens in the prompt and the generated text. */
  readonly contextTokens: number
  /** Dimensions of `embed`; undefined = the model does not support embeddings. */
  readonly embeddingDimensions?: number
  /**
   * Starts to generate the assistant's next message. The generation stops when the signal is aborted.
   * @throws PromptTooLong before anything is generated
   */
  chat(messages: readonly ChatMessage[], sampling: Sampling, signal: AbortSignal): Promise<Generation>
  /**
   * Starts to generate a continuation of the prompt. The generation stops when the signal is aborted.
   * @throws PromptTooLong before anything is generated
   */
  complete(prompt: string, sampling: Sampling, signal: AbortSignal): Promise<Generation>
  /** Returns a unit vector, and the number of tokens in the text. @throws PromptTooLong */
  embed?(text: string): { readonly vector: Float32Array; readonly tokens: number }
  release(): Promise<void>
}

/** The prompt and the requested tokens exceed the context of the model. */
export class PromptTooLong extends Error {
  override readonly name = 'PromptTooLong'
}

/** Returns the maximum number of tokens to generate. @throws PromptTooLong */
export function tokensAllowed(
  { tokensMax, tokensDefault }: Sampling,
  promptTokens: number,
  contextTokens: number,
): number {
  const room = contextTokens - promptTokens
  if (room >= (tokensMax ?? 1)) return tokensMax ?? Math.min(tokensDefault, room)
  throw new PromptTooLong(
    `The context of this model has ${contextTokens} tokens. The prompt has ${promptTokens} tokens, and ` +
      `${tokensMax ?? 'at least 1'} more are requested. Shorten the prompt, or reduce max_tokens.`,
  )
}
