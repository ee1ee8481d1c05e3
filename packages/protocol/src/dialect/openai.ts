// The OpenAI-compatible API, as KServe's LLM runtimes, vLLM and llama.cpp offer it.
import type { DialectKind } from './dialect-kind.ts'

/** The OpenAI entry of the dialect table. KServe's Python server has the prefix `/openai`; other servers have none. */
export const openai = {
  title: 'OpenAI',
  defaultOperation: 'chat',
  isSpecific: true,
  assumedForKinds: ['LLMInferenceService'],
  hasBinaryTensors: false,
  bodyMember: 'messages',
  modelMember: 'model',
  prefixes: ['/openai', ''],
  lastEvent: '[DONE]',
  routes: {
    chat: { method: 'POST', path: '/v1/chat/completions', isOptional: true, stream: { when: 'requested' } },
    completions: { method: 'POST', path: '/v1/completions', isOptional: true, stream: { when: 'requested' } },
    embeddings: { method: 'POST', path: '/v1/embeddings', isOptional: true },
    // `/v1/models/{model}` is not used, because several servers do not have this path, and on KServe's server it
    // belongs to V1.
    metadata: { method: 'GET', path: '/v1/models' },
    ready: { method: 'GET', path: '/v1/models' },
  },
} as const satisfies DialectKind
