// Cases with KServe's OpenAI routes: chat, completions and embeddings, whole and as streams.
import { modelsOn, type ProtocolCase, type ServerName } from '../case.ts'
import type { WayName } from '../ways.ts'

const on = modelsOn('openai')
const words = on('words')
const vectors = on('vectors')

const chat = (more: object = {}): string =>
  JSON.stringify({ messages: [{ role: 'user', content: 'one two' }], ...more })
const prompt = (more: object = {}): string => JSON.stringify({ prompt: 'one two', ...more })
const streamed = { stream: true }
const delta = (content: string): object => ({
  object: 'chat.completion.chunk',
  choices: [{ delta: { content } }],
})
const text = (content: string): object => ({ choices: [{ text: content }] })
const tokens = { 'prompt-tokens': '2', 'completion-tokens': '2' }

const WHOLE: readonly ProtocolCase[] = [
  {
    model: words,
    way: 'chat',
    situation: 'answered',
    what: 'a completion',
    body: chat(),
    reply: { object: 'chat.completion', choices: [{ message: { role: 'assistant', content: 'one two ' } }] },
    user: tokens,
  },
  {
    model: words,
    way: 'completions',
    situation: 'answered',
    what: 'a completion',
    body: prompt(),
    reply: { choices: [{ text: 'one two ' }] },
    user: tokens,
  },
  {
    model: vectors,
    way: 'embeddings',
    situation: 'answered',
    what: 'two embeddings',
    body: JSON.stringify({ input: ['one two', 'x'] }),
    reply: { data: [{ embedding: [7, 2] }, { embedding: [1, 1] }] },
  },
  {
    model: words,
    way: 'chat',
    situation: 'answered',
    what: "the model's exposed name, which is replaced by its name on the server",
    body: chat({ model: 'openai-words' }),
    reply: { model: 'words' },
  },
  {
    model: words,
    way: 'chat',
    situation: 'otherModel',
    what: 'the name of another model',
    body: chat({ model: 'openai-vectors' }),
  },
  {
    model: words,
    way: 'chat',
    situation: 'rejected',
    status: 400,
    what: 'an error that the server reports as an object',
    body: chat({ max_tokens: 0 }),
    reply: { error: { message: 'max_tokens must be at least 1, not 0', param: 'max_tokens' } },
  },
  {
    model: words,
    way: 'chat',
    situation: 'rejected',
    status: 500,
    what: 'an exception in the model',
    body: chat({ fail_at: 0 }),
    reply: '{"error":"RuntimeError : boom"}',
  },
  {
    model: words,
    way: 'chat',
    situation: 'rejected',
    status: 422,
    what: 'a body without messages',
    body: '{}',
    reply: { detail: [{ type: 'missing' }] },
  },
  {
    model: words,
    way: 'embeddings',
    situation: 'rejected',
    status: 400,
    what: 'a model without embeddings',
    body: JSON.stringify({ input: 'x' }),
    reply: { error: { message: 'Model words does not support Embeddings API' } },
  },
  {
    model: on('words', 'hasty', { timeoutMs: 300 }),
    way: 'chat',
    situation: 'late',
    what: 'a slow model',
    body: chat({ delay_ms: 1_000 }),
  },
  {
    model: words,
    way: 'chat',
    situation: 'cancelled',
    what: 'a call that the client cancels',
    body: chat({ delay_ms: 1_000, user: 'whole' }),
    cancelAfter: 0,
  },
  {
    model: on('words', 'small', { limits: { responseBytesMax: 1_000 } }),
    way: 'chat',
    situation: 'tooLarge',
    what: 'an answer of 4 kB with a limit of 1 kB',
    body: chat({ max_tokens: 1_000 }),
  },
]

const STREAMS: readonly ProtocolCase[] = [
  {
    model: words,
    way: 'chatStream',
    situation: 'answered',
    what: 'a stream',
    body: chat(streamed),
    parts: [delta('one '), delta('two '), delta('')],
    reply: '[DONE]',
  },
  {
    model: words,
    way: 'chatStream',
    situation: 'answered',
    what: 'a stream that includes token counts',
    body: chat({ ...streamed, stream_options: { include_usage: true } }),
    parts: [delta('one '), delta('two '), delta(''), { choices: [], usage: { completion_tokens: 2 } }],
    reply: '[DONE]',
    user: tokens,
  },
  {
    model: words,
    way: 'completionsStream',
    situation: 'answered',
    what: 'a stream',
    body: prompt(streamed),
    parts: [text('one '), text('two '), text('')],
    reply: '[DONE]',
  },
  {
    model: words,
    way: 'chatStream',
    situation: 'rejected',
    status: 500,
    what: 'an exception before the first word',
    body: chat({ ...streamed, fail_at: 0 }),
    reply: '{"error":"RuntimeError : boom"}',
  },
  {
    model: words,
    way: 'chatStream',
    situation: 'interrupted',
    what: 'an exception after the first word',
    body: chat({ ...streamed, fail_at: 1 }),
    parts: [delta('one ')],
  },
  {
    model: words,
    way: 'completionsStream',
    situation: 'interrupted',
    what: 'an exception after the first word',
    body: prompt({ ...streamed, fail_at: 1 }),
    parts: [text('one ')],
  },
  {
    model: words,
    way: 'chatStream',
    situation: 'cancelled',
    what: 'a stream that the client cancels',
    body: chat({ ...streamed, delay_ms: 30, max_tokens: 200 }),
    cancelAfter: 2,
  },
  {
    model: words,
    way: 'chatStream',
    situation: 'late',
    what: "a stream that is longer than the client's deadline",
    body: chat({ ...streamed, delay_ms: 400, max_tokens: 200 }),
    parts: [delta('one ')],
    properties: { userProperties: { 'timeout-ms': '700' } },
  },
]

const ROUTES: readonly (readonly [way: WayName, body: string])[] = [
  ['chat', chat()],
  ['chatStream', chat(streamed)],
  ['completions', prompt()],
  ['completionsStream', prompt(streamed)],
  ['embeddings', JSON.stringify({ input: 'x' })],
]
const OTHERS: readonly ServerName[] = ['kserve', 'triton', 'mlserver']

/** All cases with OpenAI routes, and with servers that do not have them. */
export const OPENAI_CASES: readonly ProtocolCase[] = [
  ...WHOLE,
  ...STREAMS,
  ...OTHERS.flatMap((server) =>
    ROUTES.map(([way, body]): ProtocolCase => ({
      model: modelsOn(server)('echo'),
      way,
      situation: 'noOperation',
      what: 'an OpenAI API request',
      body,
      absence: 'no OpenAI routes',
    })),
  ),
]
