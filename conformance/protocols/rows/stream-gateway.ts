// Cases with streams that no real server sends on request. Each is tried with the three kinds of streams over HTTP.
import { chunk } from '../../rig/stream-model-server.ts'
import { inputs, tensor } from '../bodies.ts'
import { modelsOn, type BodyCheck, type ProtocolCase, type ServerName } from '../case.ts'
import type { SituationName } from '../situations.ts'
import type { WayName } from '../ways.ts'

/** A fault: the name of its model in rig/stream-model-server.ts, and the result. */
interface Fault {
  readonly name: string
  readonly situation: SituationName
  readonly what: string
  /** Number of parts before the end. */
  readonly parts: number
  readonly status?: number
  readonly reply?: BodyCheck
}

const FAULTS: readonly Fault[] = [
  {
    name: 'one-byte',
    situation: 'answered',
    what: 'a stream of single bytes, with CR LF',
    parts: 2,
    reply: '[DONE]',
  },
  {
    name: 'several-lines',
    situation: 'answered',
    what: 'comments, ids, names, and data in several lines',
    parts: 2,
    reply: '[DONE]',
  },
  { name: 'hang', situation: 'late', what: 'no event', parts: 0 },
  { name: 'only-comments', situation: 'late', what: 'comments without an event', parts: 0 },
  { name: 'cut', situation: 'interrupted', what: 'an event, then a closed connection', parts: 1 },
  {
    name: 'cut-in-event',
    situation: 'interrupted',
    what: 'an event and a half, then a closed connection',
    parts: 1,
  },
  { name: 'end-in-event', situation: 'interrupted', what: 'an event and a half', parts: 1 },
  { name: 'idle', situation: 'interrupted', what: 'an event, then nothing', parts: 1 },
  { name: 'idle-with-comments', situation: 'interrupted', what: 'an event, then comments', parts: 1 },
  { name: 'not-json', situation: 'notAnAnswer', what: 'an event that is not JSON', parts: 0 },
  { name: 'page', situation: 'notAnAnswer', what: 'a web page instead of a stream', parts: 0 },
  { name: 'gzip', situation: 'notAnAnswer', what: 'a compressed stream', parts: 0 },
  { name: 'large-event', situation: 'tooLarge', what: 'an event of 200 kB', parts: 0 },
  { name: 'endless-line', situation: 'tooLarge', what: 'an endless line', parts: 0 },
  { name: 'busy', situation: 'full', what: 'a 429 instead of a stream', parts: 0 },
  {
    name: 'framed-400',
    situation: 'rejected',
    status: 400,
    what: 'a 400 as an event',
    parts: 0,
    reply: '{"error":"wrong shape"}',
  },
  {
    name: 'error-event',
    situation: 'rejected',
    status: 500,
    what: 'an event, then an error',
    parts: 1,
    reply: '{"error":"the model failed"}',
  },
  {
    name: 'named-error',
    situation: 'rejected',
    status: 500,
    what: 'an event, then an event with the name `error`',
    parts: 1,
    reply: '{"message":"the model failed"}',
  },
]

const KINDS: readonly (readonly [way: WayName, server: ServerName, body: string])[] = [
  ['chatStream', 'openaiGateway', JSON.stringify({ stream: true, messages: [] })],
  ['generateStream', 'generateGateway', JSON.stringify({ stream: true, text_input: 'x' })],
  ['inferStream', 'inferStreamGateway', inputs(tensor('x', 'FP32', [1]))],
]

/** All cases with misbehaving streams. */
export const STREAM_GATEWAY_CASES: readonly ProtocolCase[] = KINDS.flatMap(([way, server, body]) =>
  FAULTS.map(({ name, parts, ...rest }): ProtocolCase => {
    const options = {
      timeoutMs: rest.situation === 'late' ? 400 : 10_000,
      stream: { idleTimeoutMs: 400 },
      limits: { responseBytesMax: 100_000 },
      retry: { attemptsMax: 1 },
    }
    return {
      model: modelsOn(server)(name, undefined, options),
      way,
      body,
      ...rest,
      parts: [JSON.parse(chunk('a')) as object, JSON.parse(chunk('b', 'stop')) as object].slice(0, parts),
    }
  }),
)
