// Runs a generation: applies stop sequences, counts tokens, records metrics, and stops if the client disconnects.
import type { Generations, RunningGeneration } from '../language/generations.ts'
import { PromptTooLong, type Generation, type LanguageModel } from '../language/language-model.ts'
import { openAiFailure } from './openai-failure.ts'
import { StopSequences } from './stop-sequences.ts'

/** Maximum number of concurrent generations of a model; further requests receive 503. */
export const GENERATIONS_MAX = 256

/** Token counts, as OpenAI's API names them. */
export interface Usage {
  readonly prompt_tokens: number
  readonly total_tokens: number
  readonly completion_tokens: number
}

/** A text as it is generated, without stop sequences. Only the last piece has a `finish`. */
export type Delta =
  | { readonly text: string; readonly finish?: undefined }
  | {
      readonly text: string
      readonly finish: 'stop' | 'length'
      readonly usage: Usage
    }

/**
 * Starts a generation. It counts as running until it has ended or `signal` is aborted.
 * @param param the request member that contains the prompt, for errors
 * @throws Failure 400 if the prompt is too long, 503 if too many generations run
 */
export async function runGeneration(
  model: LanguageModel,
  generations: Generations,
  request: { readonly stop: readonly string[]; readonly param: string; readonly signal: AbortSignal },
  start: () => Promise<Generation>,
): Promise<AsyncGenerator<Delta>> {
  if (generations.of(model.name).running >= GENERATIONS_MAX) {
    throw openAiFailure(503, `The model is already generating ${GENERATIONS_MAX} texts; try again later.`)
  }
  const entry = generations.begin(model.name)
  request.signal.addEventListener('abort', () => entry.end('cancelled'), { once: true })
  try {
    return deltasOf(await start(), entry, new StopSequences(request.stop))
  } catch (error) {
    if (error instanceof PromptTooLong) {
      entry.end('refused')
      throw openAiFailure(400, error.message, request.param)
    }
    entry.end('failed', error)
    throw error
  }
}

async function* deltasOf(
  { promptTokens, pieces }: Generation,
  entry: RunningGeneration,
  stop: StopSequences,
): AsyncGenerator<Delta> {
  const usage = (): Usage => ({
    prompt_tokens: promptTokens,
    total_tokens: promptTokens + entry.tokens,
    completion_tokens: entry.tokens,
  })
  try {
    for await (const piece of pieces) {
      entry.add(piece.tokens)
      const { text, isStopped } = stop.push(piece.text)
      const finish = isStopped ? 'stop' : piece.finish
      if (finish === undefined) {
        if (text !== '') yield { text }
        continue
      }
      entry.end('finished')
      yield { text: isStopped ? text : text + stop.end(), finish, usage: usage() }
      return
    }
    throw new Error('the model ended its text without giving a reason')
  } catch (error) {
    entry.end('failed', error)
    throw error
  }
}
