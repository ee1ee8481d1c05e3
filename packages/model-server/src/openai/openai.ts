// The OpenAI-compatible API: models, chat, completions, embeddings.
import type { Call, Reply, Route } from '../call.ts'
import type { Generations } from '../language/generations.ts'
import type { LanguageModel } from '../language/language-model.ts'
import { chat } from './chat.ts'
import { completions } from './completions.ts'
import { embeddings } from './embeddings.ts'
import { Members } from './members.ts'
import { openAiFailure, toOpenAi } from './openai-failure.ts'

/** The language models by name. */
export type LanguageModels = ReadonlyMap<string, LanguageModel>

/**
 * The routes of the API. KServe's server has the prefix `/openai`; vLLM and llama.cpp have none. This server accepts
 * both forms, except that `GET /v1/models/{model}` requests the readiness of a V1 model. `GET /v1/models` is in v1.ts,
 * because one response serves both protocols.
 */
export function openAiRoutes(models: LanguageModels, generations: Generations, created: number): Route[] {
  const post = (
    name: string,
    handle: (model: LanguageModel, members: Members, call: Call) => Promise<Reply> | Reply,
  ) => ({
    method: 'POST' as const,
    path: new RegExp(`^(?:/openai)?/v1/${name}$`),
    handle: inOpenAiShape(async (call) => {
      const members = await Members.read(call)
      return handle(languageModelOf(models, members.string('model')), members, call)
    }),
  })
  return [
    {
      method: 'GET',
      path: /^\/openai\/v1\/models$/,
      handle: () => JSON.stringify(modelList(models, created)),
    },
    {
      method: 'GET',
      path: /^\/openai\/v1\/models\/(?<model>[^/]+)$/,
      handle: inOpenAiShape((call) =>
        JSON.stringify(modelEntry(languageModelOf(models, call.params['model'] ?? ''), created)),
      ),
    },
    post('chat/completions', (model, members, call) => chat(model, generations, members, call)),
    post('completions', (model, members, call) => completions(model, generations, members, call)),
    post('embeddings', (model, members, call) => embeddings(model, members, call.signal)),
  ]
}

/**
 * The list of language models, as OpenAI's API returns it.
 * @param created when the server started, in Unix seconds; vLLM also returns this time
 */
export function modelList(
  models: LanguageModels,
  created: number,
): { readonly object: 'list'; readonly data: object[] } {
  return { object: 'list', data: Array.from(models.values(), (model) => modelEntry(model, created)) }
}

function modelEntry({ name, description, contextTokens }: LanguageModel, created: number): object {
  // `max_model_len` is an extension of vLLM, and `description` one of this server; other clients ignore them.
  return {
    id: name,
    object: 'model',
    created,
    owned_by: 'inferwire',
    max_model_len: contextTokens,
    description,
  }
}

function languageModelOf(models: LanguageModels, name: string): LanguageModel {
  const model = models.get(name)
  if (model === undefined) throw openAiFailure(404, `The model "${name}" does not exist.`, 'model')
  return model
}

function inOpenAiShape(handle: (call: Call) => Promise<Reply> | Reply): Route['handle'] {
  return async (call) => {
    try {
      return await handle(call)
    } catch (error) {
      throw call.signal.aborted ? error : toOpenAi(error)
    }
  }
}
