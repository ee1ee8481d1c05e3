// Cases with answers that no real server gives on request: broken connections, broken HTTP, gateways. Each is tried in
// every way that has a body.
import { binaryInput, floats, inputs, instances, tensor } from '../bodies.ts'
import type { ProtocolCase, TestedModel } from '../case.ts'
import type { SituationName } from '../situations.ts'
import { WAYS, type WayKind, type WayName } from '../ways.ts'
import { closedPort } from './closed-port.ts'

/** A fault: the name of its model, which selects the answer in rig/model-behaviours.ts, and the result. */
interface Fault {
  readonly name: string
  readonly what: string
  readonly situation: SituationName
  readonly status?: number
}

const fault = (name: string, situation: SituationName, what: string, status?: number): Fault => ({
  name,
  situation,
  what,
  ...(status === undefined ? {} : { status }),
})

const FAULTS: readonly Fault[] = [
  fault('hang', 'late', 'no answer'),
  fault('trickle', 'late', 'a body that arrives at one byte every 200 ms'),
  fault('slow-headers', 'late', 'header fields that arrive at one byte per second'),
  fault('slow-loris', 'late', 'a body that arrives at one byte per second'),
  fault('endless-1xx', 'notAnAnswer', 'endless interim responses'),
  fault('reset', 'unreachable', 'a reset connection'),
  fault('half-close', 'unreachable', 'a closed connection'),
  fault('cut', 'unreachable', 'a body that is cut off'),
  fault('long-length', 'unreachable', 'a body shorter than its Content-Length'),
  fault('nohealthy', 'unreachable', "Envoy's 503, because no pod is healthy"),
  ...[502, 503, 504].map((status) =>
    fault(`page-${status}`, 'unreachable', `a web page with status ${status}`),
  ),
  fault('short-length', 'notAnAnswer', 'a body longer than its Content-Length'),
  fault('garbage', 'notAnAnswer', 'the greeting of a mail server'),
  fault('bad-chunk', 'notAnAnswer', 'an invalid chunk'),
  fault('two-lengths', 'notAnAnswer', 'two Content-Length fields'),
  fault('huge-length', 'notAnAnswer', 'a Content-Length of 20 digits'),
  fault('bigheaders', 'notAnAnswer', 'header fields of 64 kB'),
  fault('endless-headers', 'notAnAnswer', 'endless header fields'),
  fault('nojson', 'notAnAnswer', 'text as application/json'),
  fault('gzip', 'notAnAnswer', 'a compressed body'),
  fault('html200', 'notAnAnswer', 'a web page with status 200'),
  ...[404, 408, 500, 501].map((status) =>
    fault(`page-${status}`, 'notAnAnswer', `a web page with status ${status}`),
  ),
  fault('noroute', 'noRoute', "Envoy's 404 without a body"),
  fault('redirect307', 'notAnAnswer', 'a redirect to another host'),
  fault('endless', 'tooLarge', 'a body of 10 GB'),
  fault('endless-chunks', 'tooLarge', 'endless chunks'),
  fault('endless-body', 'tooLarge', 'a Content-Length of 10 GB'),
  fault('redirect', 'login', 'a redirect to a login page'),
  fault('html403', 'login', 'a login page with status 403'),
  fault('jwt401', 'login', "Envoy's 401 for an expired token"),
  fault('rbac403', 'login', "Istio's 403"),
  fault('notready', 'notReady', 'a 503'),
  fault('text-503', 'notReady', 'a 503 as text/plain'),
  fault('full', 'full', 'a 429'),
  fault('text-429', 'full', 'a 429 as text/plain'),
  fault('page-429', 'full', 'a web page with status 429'),
  fault('error400', 'rejected', 'a 400', 400),
  ...[401, 403, 404, 408, 413, 422].map((status) =>
    fault(`json-${status}`, 'rejected', `a ${status}`, status),
  ),
  fault('error500', 'rejected', 'a 500', 500),
  ...[501, 502, 504].map((status) => fault(`json-${status}`, 'rejected', `a ${status}`, status)),
  ...[404, 408, 413, 422].map((status) =>
    fault(`text-${status}`, 'rejected', `a ${status} as text/plain`, status),
  ),
  fault('page-413', 'rejected', 'a web page with status 413', 413),
  fault('plain500', 'rejected', 'a 500 as text/plain', 500),
  ...[501, 502, 504].map((status) =>
    fault(`text-${status}`, 'rejected', `a ${status} as text/plain`, status),
  ),
  fault('error200', 'rejected', 'a 200 with an error in its body', 500),
  fault('batcher200', 'rejected', "KServe's batcher: a 200 with a message in its body", 500),
]

const BODIES: readonly (readonly [way: WayName, request: Pick<ProtocolCase, 'body' | 'properties'>])[] = [
  ['predict', { body: instances(1) }],
  ['explain', { body: instances(1) }],
  ['infer', { body: inputs(tensor('x', 'FP32', [1, 2, 3, 4], [1, 4])) }],
  ['inferBinary', binaryInput('x', [1, 4], floats(1, 2, 3, 4))],
  ['generate', { body: JSON.stringify({ text_input: 'x' }) }],
  ['generateStream', { body: JSON.stringify({ text_input: 'x', stream: true }) }],
  ['chat', { body: JSON.stringify({ messages: [] }) }],
  ['chatStream', { body: JSON.stringify({ messages: [], stream: true }) }],
  ['completions', { body: JSON.stringify({ prompt: 'x' }) }],
  ['completionsStream', { body: JSON.stringify({ prompt: 'x', stream: true }) }],
  ['embeddings', { body: JSON.stringify({ input: 'x' }) }],
]

const PROTOCOL_VERSIONS = {
  V1: 'v1',
  V2: 'v2',
  OpenAI: 'openai',
} as const satisfies Record<WayKind['dialect'], string>

const modelOf = ({ name, situation }: Fault): TestedModel => ({
  server: 'gateway',
  name,
  options: {
    timeoutMs: situation === 'late' ? 400 : 10_000,
    limits: { responseBytesMax: 100_000 },
    retry: { attemptsMax: 1 },
  },
})

/** All cases in which the upstream misbehaves or does not exist. */
export const GATEWAY_CASES: readonly ProtocolCase[] = BODIES.flatMap(([way, request]) => [
  ...FAULTS.map((fault): ProtocolCase => {
    const { name: _, ...rest } = fault
    return { model: modelOf(fault), way, ...rest, ...request }
  }),
  {
    model: { server: 'gateway', name: 'held' },
    way,
    situation: 'cancelled',
    what: 'no answer until the client cancels; the connector ends the call',
    holds: true,
    cancelAfter: 0,
    ...request,
  },
  {
    model: { server: 'gateway', name: 'held', label: 'hasty', options: { timeoutMs: 300 } },
    way,
    situation: 'late',
    what: 'no answer until the deadline; the connector ends the call',
    holds: true,
    ...request,
  },
  {
    model: {
      server: 'nothing',
      name: 'down',
      label: way,
      options: { protocolVersion: PROTOCOL_VERSIONS[WAYS[way].dialect] },
    },
    way,
    ...closedPort(way),
    ...request,
  },
])
