// Target: turns a request's properties into headers, body kind, deadline and reply. Only listed headers may pass, and
// no header may contain a line break.
import { passedHeaders, Problem, type MessageProperties } from '@inferwire/protocol'
import { clientBudgetMs, judgePayload } from '../../../packages/connector/src/admission/index.ts'
import { successReply } from '../../../packages/connector/src/reply/index.ts'
import type { BoundOperation, ExposedModel } from '../../../packages/connector/src/step.ts'
import { bytesOf, claim, joined, labelOf, shapeOf, tokens, words, type FuzzTarget } from '../target.ts'
import { FakeUpstream, JSON_REQUEST } from './fake-upstream.ts'

// Headers for identity, routing and framing, and headers of other systems.
const NEVER = [
  ...'host authorization cookie set-cookie connection content-length content-type content-encoding'.split(
    ' ',
  ),
  ...'transfer-encoding te trailer upgrade expect via forwarded keep-alive idempotency-key accept-encoding'.split(
    ' ',
  ),
  ...'kubeflow-userid kubeflow-groups x-envoy-original-path x-forwarded-for x-real-ip proxy-authorization'.split(
    ' ',
  ),
]
const ALWAYS = ['traceparent', 'tracestate']
const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const MODEL_TIMEOUT_MS = 30_000

/**
 * Fuzzes the properties of a request. Fields: flags, expiry, Content Type, allowed header, payload, then alternating
 * names and values.
 */
export const target: FuzzTarget = {
  name: 'property',
  seedInputs: [
    joined(
      '1',
      '5',
      'application/json',
      'x-request-id',
      '{}',
      'x-request-id',
      '7',
      'traceparent',
      TRACEPARENT,
    ),
    joined('2', '', 'application/octet-stream', 'x-a', '{}abcd', 'inference-header-content-length', '2'),
    joined('3', '0', 'application/json; charset=utf-8', 'Host', ' {', 'timeout-ms', '1500', 'Host', 'evil'),
    joined('0', '4294967295', '', 'x-a', '{', 'x-a', 'b\r\nhost: evil', 'tracestate', 'a=1', 'X-A', 'c'),
    joined(
      '4',
      '1',
      'text/plain',
      'authorization',
      'x',
      'authorization',
      'Bearer x',
      'Kubeflow-Userid',
      'root',
    ),
  ],
  dictionary: [
    ...tokens(...NEVER, ...ALWAYS, TRACEPARENT, 'a'.repeat(1025)),
    ...words(
      'Host HOST x-request-id x-a timeout-ms inference-header-content-length 0 -1 1e3 999999999 99999999999',
    ),
    ...words('application/json application/octet-stream APPLICATION/JSON; __proto__ é \u017f \u212a'),
    ...tokens('\r\n', '\r', '\n', '\t', '\u0000', '\u007f', '\u0085', ' ', [0xff]),
  ],
  async run(input) {
    const [flags, expiry, contentType, opened, payload, ...pairs] = bytesOf(input, Number.POSITIVE_INFINITY)
    const texts = pairs.map((bytes) => bytes.toString('utf8'))
    if (texts.length % 2 === 1) texts.pop()
    const properties: MessageProperties = { userProperties: texts }
    if (contentType !== undefined && contentType.length > 0)
      properties.contentType = contentType.toString('utf8')
    if (/^\d{1,9}$/.test(String(expiry))) properties.messageExpiryInterval = Number(expiry)
    const allowed = new Set((opened?.toString('utf8') ?? '').split(','))
    // The configuration does not accept headers that the connector sends itself.
    allowed.delete('inference-header-content-length')

    const headers = passedHeaders(texts, allowed)
    checkHeaders(headers, texts, allowed)
    const body = payload ?? Buffer.alloc(0)
    const kind = Number(String(flags).slice(0, 1)) || 0
    const sent = await send(kind, properties, body, headers)
    return `${headers.length / 2} ${sent} ${budgetLabel(properties)}`
  },
}

function checkHeaders(
  headers: readonly string[],
  given: readonly string[],
  allowed: ReadonlySet<string>,
): void {
  claim(headers.length <= 32 && headers.length % 2 === 0, 'too many headers pass')
  const names = headers.filter((_, index) => index % 2 === 0)
  claim(new Set(names).size === names.length, 'a header passes twice')
  for (const [index, name] of names.entries()) {
    const value = headers[2 * index + 1]!
    claim(ALWAYS.includes(name) || allowed.has(name), `header "${name}" passes although it is not allowed`)
    claim(name === name.toLowerCase() && !NEVER.includes(name), `header "${name}" passes`)
    claim(!/^(?:x-envoy-|x-forwarded-|kubeflow-|proxy-|sec-)/.test(name), `header "${name}" passes`)
    claim(/^[\x21-\x7e]+$/.test(name) && /^[\x20-\x7e]*$/.test(value), 'a header contains a line break')
    claim(
      given.some((text, at) => at % 2 === 0 && text === name && given[at + 1] === value),
      'a header passes although it is not in the request',
    )
  }
}

function problemLabel(error: unknown): string | undefined {
  return error instanceof Problem && error.code !== 'internal'
    ? shapeOf(`${error.code} ${error.message}`)
    : undefined
}

function budgetLabel(properties: MessageProperties): string {
  return labelOf(() => {
    const budget = Math.min(MODEL_TIMEOUT_MS, clientBudgetMs(properties))
    claim(Number.isFinite(budget) && budget >= 0 && budget <= MODEL_TIMEOUT_MS, `the budget is ${budget} ms`)
    return budget === MODEL_TIMEOUT_MS ? 'whole' : budget === 0 ? 'none' : 'less'
  }, problemLabel)
}

const JSON_HEADER = [Buffer.from('content-type'), Buffer.from('application/json')]
const model = { name: 'm', requestBytesMax: 1000 } as ExposedModel

async function send(
  kind: number,
  properties: MessageProperties,
  payload: Buffer,
  headers: readonly string[],
): Promise<string> {
  const upstream = new FakeUpstream()
  upstream.answer = { status: 200, headers: JSON_HEADER, body: [Buffer.from('{}')] }
  const protocol = kind % 2 === 0 ? 'v2' : 'v1'
  const name = kind >= 6 ? 'metadata' : protocol === 'v2' ? 'infer' : 'predict'
  const operation = { name, protocol, hasBody: name !== 'metadata' } as BoundOperation
  const delivery = {
    retain: kind === 5,
    payload,
    payloadBytes: payload.length,
    propertyBytes: 100,
    isWhole: kind !== 4,
    properties,
  }
  let judged: ReturnType<typeof judgePayload>
  try {
    judged = judgePayload(delivery, model, operation)
  } catch (error) {
    const label = problemLabel(error)
    if (label === undefined) throw error
    return label
  }
  const endpoint = upstream.endpoint(operation.name, protocol, 'm')
  const response = await endpoint.call({ ...JSON_REQUEST, ...judged, body: payload, headers })
  checkSent(upstream.last!.headers)
  const context = {
    queueMs: 1,
    upstreamMs: 2,
    expirySeconds: undefined,
    traceparent: undefined,
    partsSent: 0,
  }
  const reply = successReply({ topic: 't', correlationData: undefined, qos: 1 }, response, context)
  claim(reply.properties.contentType === 'application/json', 'a property of the request reached the reply')
  return `${name} ${judged.contentType}`
}

function checkSent(headers: readonly string[]): void {
  const names = headers.filter((_, index) => index % 2 === 0)
  claim(new Set(names.map((name) => name.toLowerCase())).size === names.length, 'a header is sent twice')
  claim(
    headers.every((text) => /^[\x20-\x7e]*$/.test(text)),
    'a header contains a line break',
  )
  claim(headers[names.indexOf('authorization') * 2 + 1] === 'Bearer canary', 'the credential was replaced')
  const length = headers[names.indexOf('inference-header-content-length') * 2 + 1]
  if (names.includes('inference-header-content-length'))
    claim(/^\d{1,9}$/.test(length!), 'a length is not a number')
}
