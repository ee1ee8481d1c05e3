// Cases with answers over gRPC that no real server gives on request. Each is tried with JSON, with binary tensors, and as
// a stream.
import { binaryInput, floats, inputs, tensor } from '../bodies.ts'
import { modelsOn, type BodyCheck, type ProtocolCase, type TestedModel } from '../case.ts'
import type { SituationName } from '../situations.ts'
import type { WayName } from '../ways.ts'
import { closedPort } from './closed-port.ts'

type Fault = readonly [name: string, situation: SituationName, what: string, status?: number]

// The names are those in rig/grpc-model-server.ts.
const FAULTS: readonly Fault[] = [
  ['hang-in-body', 'late', 'half a message, then nothing'],
  ['late', 'late', 'DEADLINE_EXCEEDED'],
  ['reset', 'unreachable', 'a reset connection'],
  ['half-close', 'unreachable', 'a closed connection'],
  ['rst', 'unreachable', 'a reset stream'],
  ['cut', 'unreachable', 'a message that is cut off'],
  ['cancelled-there', 'unreachable', 'CANCELLED, without a cancel message from the client'],
  ['nohealthy', 'unreachable', "Envoy's UNAVAILABLE, because no pod is healthy"],
  ['page502', 'unreachable', 'a web page with HTTP status 502'],
  ['page503', 'unreachable', 'a web page with HTTP status 503'],
  ['page504', 'unreachable', 'a web page with HTTP status 504'],
  ['garbage', 'notAnAnswer', 'a message that is not protobuf'],
  ['compressed-unknown', 'notAnAnswer', 'a compressed message without the name of its encoding'],
  ['long-length', 'notAnAnswer', 'a message shorter than its length prefix'],
  ['html200', 'notAnAnswer', 'a web page with HTTP status 200'],
  ['noroute', 'notAnAnswer', "Envoy's HTTP status 404 without a body"],
  ['page408', 'notAnAnswer', 'a web page with HTTP status 408'],
  ['page500', 'notAnAnswer', 'a web page with HTTP status 500'],
  ['page501', 'notAnAnswer', 'a web page with HTTP status 501'],
  ['large', 'tooLarge', 'a message of 200 kB'],
  ['huge-length', 'tooLarge', 'a length prefix of 4 GB'],
  ['endless', 'tooLarge', 'a message of 2 GB'],
  ['answer-too-large', 'tooLarge', "RESOURCE_EXHAUSTED, because the answer exceeds the server's limit"],
  ['redirect', 'login', 'a redirect to a login page'],
  ['html403', 'login', 'a login page with HTTP status 403'],
  ['jwt401', 'login', 'UNAUTHENTICATED'],
  ['rbac403', 'login', 'PERMISSION_DENIED'],
  ['notready', 'notReady', 'UNAVAILABLE'],
  ['full', 'full', 'RESOURCE_EXHAUSTED'],
  ['page429', 'full', 'a web page with HTTP status 429'],
  ['error400', 'rejected', 'INVALID_ARGUMENT', 400],
  ['error404', 'rejected', 'NOT_FOUND', 404],
  ['error500', 'rejected', 'INTERNAL', 500],
  ['error501', 'rejected', 'UNIMPLEMENTED', 501],
  ['aborted', 'rejected', 'ABORTED', 409],
  [
    'request-too-large',
    'rejected',
    "RESOURCE_EXHAUSTED, because the request exceeds the server's limit",
    413,
  ],
  ['page413', 'rejected', 'a web page with HTTP status 413', 413],
  ['gateway-timeout', 'rejected', "Envoy's UNAVAILABLE after its own timeout", 504],
  ['traceback', 'rejected', 'UNKNOWN with a traceback', 500],
]

/** A fault after a message, or an unexpected number of messages. */
interface MessageFault {
  readonly name: string
  readonly what: string
  /** The result of ModelInfer. */
  readonly whole: SituationName
  /** The result of ModelStreamInfer. */
  readonly streamed: SituationName
  /** The number of parts that the stream has. */
  readonly parts: number
  readonly status?: number
}

const messageFault = (
  name: string,
  [whole, streamed]: readonly [SituationName, SituationName],
  what: string,
  parts = 1,
): MessageFault => ({ name, what, whole, streamed, parts })

const MESSAGE_FAULTS: readonly MessageFault[] = [
  messageFault('no-message', ['notAnAnswer', 'answered'], 'no message', 0),
  messageFault('two-messages', ['notAnAnswer', 'answered'], 'two messages', 2),
  messageFault('no-status', ['notAnAnswer', 'interrupted'], 'a message, but no status'),
  messageFault('half-after-message', ['notAnAnswer', 'interrupted'], 'a message and a half'),
  messageFault('cut-after-message', ['unreachable', 'interrupted'], 'a message, then a closed connection'),
  messageFault('idle-after-message', ['late', 'interrupted'], 'a message, then nothing'),
  messageFault(
    'garbage-after-message',
    ['notAnAnswer', 'notAnAnswer'],
    'a message, then one that is not protobuf',
  ),
  {
    ...messageFault('error-after-message', ['rejected', 'rejected'], 'a message, then INTERNAL'),
    status: 500,
  },
]

const on = modelsOn('gateway', 'grpc')
const LIMITS = {
  limits: { responseBytesMax: 100_000 },
  retry: { attemptsMax: 1 },
  stream: { idleTimeoutMs: 400 },
}
const JSON_BODY = { body: inputs(tensor('x', 'FP32', [1, 2, 3, 4], [1, 4])) }
const BODIES: readonly (readonly [way: WayName, request: Pick<ProtocolCase, 'body' | 'properties'>])[] = [
  ['inferGrpc', JSON_BODY],
  ['inferBinaryGrpc', binaryInput('x', [1, 4], floats(1, 2, 3, 4))],
  ['inferStreamGrpc', JSON_BODY],
]
// The part that stands for one message of the server.
const PART: BodyCheck = { outputs: [{ name: 'x', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }] }

const modelOf = (name: string, isLate: boolean): TestedModel =>
  on(name, undefined, { ...LIMITS, timeoutMs: isLate ? 400 : 10_000 })

const CASES = BODIES.flatMap(([way, request]): ProtocolCase[] => [
  ...FAULTS.map(([name, situation, what, status]): ProtocolCase => {
    return {
      model: modelOf(name, situation === 'late'),
      way,
      situation,
      what,
      ...(status === undefined ? {} : { status }),
      ...request,
    }
  }),
  {
    model: on('hang'),
    way,
    situation: 'cancelled',
    what: 'no answer until the client cancels; the connector ends the call',
    holds: true,
    cancelAfter: 0,
    ...request,
  },
  {
    model: on('hang', 'hasty', { timeoutMs: 300 }),
    way,
    situation: 'late',
    what: 'no answer until the deadline; the connector ends the call',
    holds: true,
    ...request,
  },
  {
    model: modelsOn('nothing', 'grpc')('down'),
    way,
    ...closedPort(way),
    ...request,
  },
])

/** The cases in which ModelInfer and ModelStreamInfer have the same result. */
export const GRPC_GATEWAY_CASES: readonly ProtocolCase[] = [
  ...CASES,
  // If the client asks for binary tensors, the answer is forwarded without a check of its size.
  ...(['inferGrpc', 'inferStreamGrpc'] as const).map((way): ProtocolCase => ({
    model: on('short-tensor'),
    way,
    situation: 'notAnAnswer',
    what: 'a tensor with too few bytes for its shape, if the client asks for JSON',
    ...JSON_BODY,
  })),
]

/** The cases whose result depends on whether the operation has one answer or a stream of answers. */
export const GRPC_MESSAGE_CASES: readonly ProtocolCase[] = BODIES.flatMap(([way, request]) =>
  MESSAGE_FAULTS.map(({ name, what, whole, streamed, parts, status }): ProtocolCase => {
    const isStream = way === 'inferStreamGrpc'
    return {
      model: modelOf(name, whole === 'late'),
      way,
      situation: isStream ? streamed : whole,
      what,
      ...(isStream ? { parts: Array.from({ length: parts }, () => PART) } : {}),
      ...(status === undefined ? {} : { status }),
      ...request,
    }
  }),
)
