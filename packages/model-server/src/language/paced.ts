// Slows a language model down to a realistic speed, so that users can watch its tokens arrive.
import { setTimeout } from 'node:timers/promises'
import type { Generation, LanguageModel, Piece } from './language-model.ts'

/** Returns the model with the speed of each generation limited to `tokensPerSecond`. */
export function paced(model: LanguageModel, tokensPerSecond: number): LanguageModel {
  if (tokensPerSecond === Infinity) return model
  const slow = ({ promptTokens, pieces }: Generation, signal: AbortSignal): Generation => ({
    promptTokens,
    pieces: pace(pieces, 1000 / tokensPerSecond, signal),
  })
  return {
    ...model,
    chat: async (messages, sampling, signal) => slow(await model.chat(messages, sampling, signal), signal),
    complete: async (prompt, sampling, signal) =>
      slow(await model.complete(prompt, sampling, signal), signal),
  }
}

async function* pace(
  pieces: AsyncIterable<Piece>,
  tokenMs: number,
  signal: AbortSignal,
): AsyncGenerator<Piece> {
  // Waits until a point in time. If it waited for a duration, computation times and timer delays would add up.
  let dueMs = performance.now()
  for await (const piece of pieces) {
    dueMs += piece.tokens * tokenMs
    const waitMs = dueMs - performance.now()
    if (waitMs > 0) await setTimeout(waitMs, undefined, { signal })
    yield piece
  }
}
