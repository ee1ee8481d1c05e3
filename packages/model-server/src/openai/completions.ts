// `POST /v1/completions`: continues a prompt, as a whole or in chunks.
import { randomUUID } from 'node:crypto'
import type { Call, Reply } from '../call.ts'
import type { Generations } from '../language/generations.ts'
import type { LanguageModel } from '../language/language-model.ts'
import type { Members } from './members.ts'
import { openAiFailure } from './openai-failure.ts'
import { runGeneration } from './run-generation.ts'
import { eventStream, wholeText, type Shape } from './text-reply.ts'
import { readTextRequest } from './text-request.ts'

/** OpenAI's value for a request without `max_tokens`. */
const TOKENS_DEFAULT = 16

/** Continues a prompt. @throws Failure 400, 503 */
export async function completions(
  model: LanguageModel,
  generations: Generations,
  members: Members,
  call: Call,
): Promise<Reply> {
  const request = readTextRequest(members, TOKENS_DEFAULT, model.contextTokens)
  const prompt = readPrompt(members)
  const deltas = await runGeneration(
    model,
    generations,
    { stop: request.stop, param: 'prompt', signal: call.signal },
    () => model.complete(prompt, request.sampling, call.signal),
  )
  const shape = completionShape(model.name)
  return request.isStreamed ? eventStream(shape, deltas, request.includesUsage) : wholeText(shape, deltas)
}

// OpenAI's API also accepts several prompts, and lists of token numbers.
function readPrompt(members: Members): string {
  const prompt = members.get('prompt')
  const [only] = Array.isArray(prompt) && prompt.length === 1 ? prompt : [prompt]
  if (typeof only === 'string') return only
  throw openAiFailure(400, 'This server implements only one prompt per request, as a string.', 'prompt')
}

function completionShape(model: string): Shape {
  const base = {
    id: `cmpl-${randomUUID()}`,
    object: 'text_completion',
    created: Math.floor(Date.now() / 1000),
    model,
  }
  const choice = (text: string, finish: string | null): object => ({
    ...base,
    choices: [{ index: 0, text, logprobs: null, finish_reason: finish }],
  })
  return {
    whole: (text, finish, usage) => ({ ...choice(text, finish), usage }),
    part: (text) => choice(text, null),
    last: (finish) => choice('', finish),
    usage: (usage) => ({ ...base, choices: [], usage }),
  }
}
