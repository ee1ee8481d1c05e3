// Cases with V2 operations whose answers may be streams: generate on Triton, infer_stream on MLServer and over gRPC.
import { inputs, tensor } from '../bodies.ts'
import { modelsOn, type ProtocolCase } from '../case.ts'

const kserve = modelsOn('kserve')
const triton = modelsOn('triton')
const mlserver = modelsOn('mlserver')
const tritonGrpc = modelsOn('triton', 'grpc')
const mlserverGrpc = modelsOn('mlserver', 'grpc')
const kserveGrpc = modelsOn('kserve', 'grpc')

const generate = (more: object = {}): string =>
  JSON.stringify({ text_input: 'one two', max_tokens: 1, ...more })
const streamed = (more: object = {}): string => generate({ stream: true, max_tokens: 3, ...more })
const word = (text: string): object => ({ model_name: 'text', text_output: text })
const letters = (parameters: object = {}, data: readonly string[] = ['a', 'b', 'c']): string =>
  JSON.stringify({ ...(JSON.parse(inputs(tensor('t', 'BYTES', data))) as object), parameters })
const letter = (text: string): object => ({ model_name: 'echo', outputs: [{ name: 'out-t', data: [text] }] })
const many = Array.from({ length: 200 }, () => 'a')
const text = inputs(tensor('text_input', 'BYTES', ['one two']))
const textOutput = (output: string): object => ({
  outputs: [{ name: 'text_output', datatype: 'BYTES', data: [output] }],
})

const GENERATE: readonly ProtocolCase[] = [
  {
    model: triton('text'),
    way: 'generate',
    situation: 'answered',
    what: 'a text',
    body: generate(),
    reply: word('one '),
  },
  {
    model: triton('text'),
    way: 'generateStream',
    situation: 'answered',
    what: 'a stream',
    body: streamed(),
    parts: [word('one '), word('two '), word('one ')],
    reply: '[DONE]',
  },
  {
    model: triton('text'),
    way: 'generate',
    situation: 'rejected',
    status: 500,
    what: 'a model that returns several answers',
    body: generate({ max_tokens: 2 }),
    reply: /"error":"generate expects/,
  },
  {
    model: triton('text'),
    way: 'generateStream',
    situation: 'rejected',
    status: 400,
    what: 'an error before the first word',
    body: streamed({ fail_at: 0 }),
    reply: '{"error":"the model failed on purpose"}',
  },
  {
    model: triton('text'),
    way: 'generateStream',
    situation: 'rejected',
    status: 500,
    what: 'an error after the first word',
    body: streamed({ fail_at: 1 }),
    parts: [word('one ')],
    reply: { error: 'the model failed on purpose' },
  },
  {
    model: triton('text'),
    way: 'generateStream',
    situation: 'cancelled',
    what: 'a stream that the client cancels',
    body: streamed({ delay_ms: 30, max_tokens: 200 }),
    cancelAfter: 2,
  },
  {
    model: triton('text'),
    way: 'generateStream',
    situation: 'late',
    what: "a stream that is longer than the client's deadline",
    body: streamed({ delay_ms: 400, max_tokens: 5 }),
    parts: [word('one '), word('two ')],
    properties: { userProperties: { 'timeout-ms': '600' } },
  },
  {
    model: kserve('echo'),
    way: 'generate',
    situation: 'noOperation',
    what: 'a text',
    body: generate(),
    absence: 'no generate',
  },
  {
    model: kserve('echo'),
    way: 'generateStream',
    situation: 'noOperation',
    what: 'a text',
    body: streamed(),
    absence: 'no generate',
  },
  {
    model: mlserver('echo'),
    way: 'generate',
    situation: 'noOperation',
    what: 'a text',
    body: generate(),
    absence: 'no generate',
  },
  {
    model: mlserver('echo'),
    way: 'generateStream',
    situation: 'noOperation',
    what: 'a text',
    body: streamed(),
    absence: 'no generate',
  },
]

const INFER_STREAM: readonly ProtocolCase[] = [
  {
    model: mlserver('echo'),
    way: 'inferStream',
    situation: 'answered',
    what: 'a stream',
    body: letters(),
    parts: ['a', 'b', 'c'].map(letter),
    reply: '[DONE]',
  },
  {
    model: mlserver('echo'),
    way: 'inferStream',
    situation: 'rejected',
    status: 500,
    what: 'an error before the first answer',
    body: letters({ fail_at: 0 }),
    reply: 'Internal Server Error',
  },
  {
    model: mlserver('echo'),
    way: 'inferStream',
    situation: 'interrupted',
    what: 'an error after the first answer',
    body: letters({ fail_at: 1 }),
    parts: [letter('a')],
  },
  {
    model: mlserver('echo'),
    way: 'inferStream',
    situation: 'cancelled',
    what: 'a stream that the client cancels',
    body: letters({ delay_ms: 30 }, many),
    cancelAfter: 2,
  },
  {
    model: kserve('echo'),
    way: 'inferStream',
    situation: 'noOperation',
    what: 'a stream',
    body: letters(),
    absence: 'no infer_stream',
  },
  {
    model: triton('echo'),
    way: 'inferStream',
    situation: 'noOperation',
    what: 'a stream',
    body: letters(),
    absence: 'no infer_stream',
  },
]

const GRPC: readonly ProtocolCase[] = [
  {
    model: tritonGrpc('text'),
    way: 'inferStreamGrpc',
    situation: 'answered',
    what: 'a stream',
    body: text,
    parts: ['one ', 'two ', 'one ', 'two '].map(textOutput),
    reply: '[DONE]',
  },
  {
    model: mlserverGrpc('echo'),
    way: 'inferStreamGrpc',
    situation: 'answered',
    what: 'a stream',
    body: letters(),
    parts: ['a', 'b', 'c'].map(letter),
    reply: '[DONE]',
  },
  {
    model: mlserverGrpc('echo'),
    way: 'inferStreamGrpc',
    situation: 'cancelled',
    what: 'a stream that the client cancels',
    body: letters({ delay_ms: 30 }, many),
    cancelAfter: 2,
  },
  {
    model: kserveGrpc('echo'),
    way: 'inferStreamGrpc',
    situation: 'noOperation',
    what: 'a stream',
    body: letters(),
    absence: 'no ModelStreamInfer',
  },
]

/** All cases with streams of V2. */
export const STREAM_CASES: readonly ProtocolCase[] = [...GENERATE, ...INFER_STREAM, ...GRPC]
