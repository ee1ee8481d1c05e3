// Cases with answers over gRPC that no real server gives on request. Each is tried with JSON and with binary tensors.
import { binaryInput, floats, inputs, tensor } from '../bodies.ts'
import { modelsOn, type ProtocolCase } from '../case.ts'
import type { SituationName } from '../situations.ts'
import type { WayName } from '../ways.ts'

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
  ['no-status', 'notAnAnswer', 'no status after the message'],
  ['no-message', 'notAnAnswer', 'no message'],
  ['two-messages', 'notAnAnswer', 'two messages'],
  ['garbage', 'notAnAnswer', 'a message that is not protobuf'],
  ['compressed-unknown', 'notAnAnswer', 'a compressed message without the name of its encoding'],
  ['long-length', 'notAnAnswer', 'a message shorter than its length prefix'],
  ['html200', 'notAnAnswer', 'a web page with HTTP status 200'],
  ['noroute', 'notAnAnswer', "Envoy's HTTP status 404 without a body"],
  ['large', 'tooLarge', 'a message of 200 kB'],
  ['huge-length', 'tooLarge', 'a length prefix of 4 GB'],
  ['endless', 'tooLarge', 'a message of 2 GB'],
  ['redirect', 'login', 'a redirect to a login page'],
  ['html403', 'login', 'a login page with HTTP status 403'],
  ['jwt401', 'login', 'UNAUTHENTICATED'],
  ['rbac403', 'login', 'PERMISSION_DENIED'],
  ['notready', 'notReady', 'UNAVAILABLE'],
  ['full', 'full', 'RESOURCE_EXHAUSTED'],
  ['error400', 'rejected', 'INVALID_ARGUMENT', 400],
  ['error404', 'rejected', 'NOT_FOUND', 404],
  ['error500', 'rejected', 'INTERNAL', 500],
  ['error501', 'rejected', 'UNIMPLEMENTED', 501],
  ['error-after-message', 'rejected', 'INTERNAL after a message', 500],
  ['traceback', 'rejected', 'UNKNOWN with a traceback', 500],
]

const on = modelsOn('gateway', 'grpc')
const LIMITS = { limits: { responseBytesMax: 100_000 }, retry: { attemptsMax: 1 } }
const BODIES: readonly (readonly [way: WayName, request: Pick<ProtocolCase, 'body' | 'properties'>])[] = [
  ['inferGrpc', { body: inputs(tensor('x', 'FP32', [1, 2, 3, 4], [1, 4])) }],
  ['inferBinaryGrpc', binaryInput('x', [1, 4], floats(1, 2, 3, 4))],
]

const CASES = BODIES.flatMap(([way, request]): ProtocolCase[] => [
  ...FAULTS.map(([name, situation, what, status]): ProtocolCase => {
    const timeoutMs = situation === 'late' ? 400 : 10_000
    return {
      model: on(name, undefined, { ...LIMITS, timeoutMs }),
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
    situation: 'unreachable',
    what: 'a closed port',
    ...request,
  },
])

/** All cases with a misbehaving upstream over gRPC. */
export const GRPC_GATEWAY_CASES: readonly ProtocolCase[] = [
  ...CASES,
  {
    // If the client asks for binary tensors, the answer is forwarded without a check of its size.
    model: on('short-tensor'),
    way: 'inferGrpc',
    situation: 'notAnAnswer',
    what: 'a tensor with too few bytes for its shape, if the client asks for JSON',
    ...BODIES[0]![1],
  },
]
