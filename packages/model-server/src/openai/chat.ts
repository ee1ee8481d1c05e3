// `POST /v1/chat/completions`: a whole answer, or chunks.
import { randomUUID } from 'node:crypto'
import type { Call, Reply } from '../call.ts'
import type { Generations } from '../language/generations.ts'
import type { LanguageModel } from '../language/language-model.ts'
import type { Members } from './members.ts'
import { runGeneration } from './run-generation.ts'
import { eventStream, wholeText, type Shape } from './text-reply.ts'
import { readMessages, readTextRequest } from './text-request.ts'

/** An answer without `max_tokens` has at most this many tokens. */
const TOKENS_DEFAULT = 512

/** Answers a chat. @throws Failure 400, 503 */
export async function chat(
  model: LanguageModel,
  generations: Generations,
  members: Members,
  call: Call,
): Promise<Reply> {
  const request = readTextRequest(members, TOKENS_DEFAULT, model.contextTokens)
  const messages = readMessages(members)
  const deltas = await runGeneration(
    model,
    generations,
    { stop: request.stop, param: 'messages', signal: call.signal },
    () => model.chat(messages, request.sampling, call.signal),
  )
  const shape = chatShape(model.name)
  return request.isStreamed ? eventStream(shape, deltas, request.includesUsage) : wholeText(shape, deltas)
}

function chatShape(model: string): Shape {
  const base = { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model }
  const chunk = (delta: object, finish: string | null): object => ({
    ...base,
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
  })
  return {
    whole: (text, finish, usage) => ({
      ...base,
      object: 'chat.completion',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: text, refusal: null },
          logprobs: null,
          finish_reason: finish,
        },
      ],
      usage,
    }),
    first: chunk({ role: 'assistant', content: '' }, null),
    part: (text) => chunk({ content: text }, null),
    last: (finish) => chunk({}, finish),
    usage: (usage) => ({ ...base, object: 'chat.completion.chunk', choices: [], usage }),
  }
}
