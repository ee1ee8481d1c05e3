// Target: turns responses of model servers and gateways into replies, which contain a Problem or the unchanged bytes.
import { isUtf8 } from 'node:buffer'
import { Problem, PROBLEMS, type ProblemCode } from '@inferwire/protocol'
import { REFUSALS } from '../../../packages/connector/src/endpoint/index.ts'
import { problemReply, successReply, type Reply } from '../../../packages/connector/src/reply/index.ts'
import type { EndpointResponse } from '../../../packages/connector/src/step.ts'
import { bytesOf, claim, joined, shapeOf, tokens, words, type FuzzTarget } from '../target.ts'
import { FakeUpstream, JSON_REQUEST } from './fake-upstream.ts'

const RESPONSE_BYTES_MAX = 3000
const ERROR_BODY_BYTES_MAX = 64 * 1024

/** Fuzzes the handling of responses. Fields: lines with the status and the headers, then the body. */
export const target: FuzzTarget = {
  name: 'answer',
  seedInputs: [
    joined('200\ncontent-type: application/json', '{"predictions":[1]}'),
    joined('200\nContent-Type: text/plain', ' {"message":"batcher","batchId":"","predictions":null} '),
    joined('200\ncontent-type: application/json', '{"error":"no such tensor"}'),
    joined('200\ninference-header-content-length: 2', '{}abcd'),
    joined('200\ncontent-type: text/html', '<html>login</html>'),
    joined('204', ''),
    joined('302\nlocation: https://h/dex/auth?state=secret#x', ''),
    joined('401\nwww-authenticate: Bearer error="invalid_token"', 'Jwt expired'),
    joined('403\nx-envoy-upstream-service-time: 3', 'RBAC: access denied'),
    joined('401\ncontent-type: application/json', '{}'),
    joined('503\nx-envoy-overloaded: true', 'upstream connect error. reset reason: overflow'),
    joined('504\ncontent-type: text/plain', 'upstream request timeout'),
    joined('431\ncontent-type: text/plain', 'Request Header Fields Too Large'),
    joined('404\nserver: istio-envoy', ''),
    joined('200\ncontent-type: application/json\ncontent-encoding: gzip', '{}'),
    joined('200\ncontent-type: application/json; charset=iso-8859-1', Buffer.from([0x22, 0xfc, 0x22])),
    joined('200\ncontent-type: application/json', '0.87'),
    joined('200\ncontent-type: application/json', '{"a":"}"}{"b":2}'),
    joined('503\nretry-after: Wed, 21 Oct 2026 07:28:09 GMT\ndate: Wed, 21 Oct 2026 07:28:00 GMT', '{}'),
    joined('429\nretry-after: 7\ncontent-type: a/b; c=d', 'slow down'),
    joined('503\ncontent-type: text/plain', 'no healthy upstream'),
    joined('503\ncontent-type: application/json', '{"error":"loading"}'),
    joined('503\ncontent-type: application/json', '{"error":"Exceeds maximum queue size"}'),
    joined('503\ncontent-type: application/json', '{"error":"Request timeout expired"}'),
    joined('404\ncontent-type: application/json', '{"error":"Request for unknown model: x"}'),
    joined(
      '500\ncontent-type: text/plain',
      'Traceback (most recent call last):\n  File "a"\nValueError: x\n',
    ),
    joined('500\ncontent-type: application/json', '{"error":"ValueError : x"}'),
    joined('502\ncontent-type: text/html', '<html>502</html>'),
    joined('100\ncontent-length: 9999999999', '{}'),
  ],
  dictionary: [
    ...words(
      'content-type: |inference-header-content-length: |retry-after: |location: |content-length: |content-encoding: ',
      '|',
    ),
    ...words(
      'www-authenticate: |x-envoy-upstream-service-time: 1|x-envoy-overloaded: true|error="invalid_token"|RBAC: access denied',
      '|',
    ),
    ...words(
      'application/json application/octet-stream text/html text/plain text/ application/x+json ;q /dex/ /oauth2/',
    ),
    ...words(
      'upstream connect error. reset reason: connection failure|no available server|upstream request timeout|TLS_error|Jwks |Jwt |Audiences in Jwt|pending request queue full|context deadline exceeded',
      '|',
    ),
    ...words('{"error": {"message": "predictions": "outputs": null { } [ ] "" "\\ud800"'),
    ...words('200 204 299 300 301 400 401 403 404 413 429 500 502 503 504 999 100'),
    ...tokens([0xff], [0x0d, 0x0a], [0xc2, 0x80], [0]),
  ],
  async run(input) {
    const [head, body = Buffer.alloc(0)] = bytesOf(input, 2)
    const [status = '', ...lines] = head!.toString('latin1').split('\n')
    const upstream = new FakeUpstream(RESPONSE_BYTES_MAX)
    const middle = input.length % (body.length + 1)
    upstream.answer = {
      // The status of a final response is never below 200.
      status: /^[2-9]\d\d$/.test(status) ? Number(status) : 200,
      headers: lines.flatMap((line) => headerOf(line)),
      body: [body.subarray(0, middle), body.subarray(middle)],
    }
    const endpoint = upstream.endpoint('infer', 'v2', 'm')
    try {
      return goodLabel(await endpoint.call({ ...JSON_REQUEST, deadline: { ...JSON_REQUEST.deadline } }), body)
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      return problemLabel(error, body)
    }
  },
}

// The connector's HTTP client passes on the raw bytes of a header's name and value, which the HTTP parser has trimmed.
function headerOf(line: string): Buffer[] {
  const colon = line.indexOf(':')
  if (colon <= 0) return []
  return [Buffer.from(line.slice(0, colon), 'latin1'), Buffer.from(line.slice(colon + 1).trim(), 'latin1')]
}

const TYPES = ['application/json', 'application/octet-stream', 'text/', 'application/']
const CONTEXT = { queueMs: 0.1, upstreamMs: 1, expirySeconds: 3, traceparent: undefined, partsSent: 0 }
const TARGET = { topic: 'infer/reply/c/m', correlationData: Buffer.from('x'), qos: 1 as const }

function goodLabel(response: EndpointResponse, body: Buffer): string {
  const { status, contentType, inferenceHeaderContentLength: length } = response
  claim(status >= 200 && status < 300, 'an answer without a 2xx status counts as a success')
  claim(body.equals(response.body), 'the body of an answer was changed')
  claim(body.length <= RESPONSE_BYTES_MAX, 'an answer is larger than its limit')
  if (length !== undefined)
    claim(/^\d+$/.test(length) && Number(length) <= body.length, 'the JSON part is longer than the body')
  checkReply(successReply(TARGET, response, CONTEXT))
  return `${status} ${TYPES.find((type) => contentType.startsWith(type))} ${length !== undefined}`
}

const EXPECTED = new Set<ProblemCode>([
  'upstream_error',
  'upstream_invalid_response',
  'upstream_unreachable',
  'unauthorized_upstream',
  'model_not_ready',
  'overloaded',
  'deadline_exceeded',
  'response_too_large',
])

// The message of these problems may be the server's text.
const UPSTREAM_TEXT = new Set<ProblemCode>([
  'upstream_error',
  'model_not_ready',
  'overloaded',
  'deadline_exceeded',
])

function problemLabel(problem: Problem, body: Buffer): string {
  const { code, status, message, detail = '', retryAfterMs = 0 } = problem
  claim(EXPECTED.has(code) && code in PROBLEMS, `an answer became ${code}`)
  claim(Number.isInteger(status) && status >= 300 && status <= 999, `a problem has the status ${status}`)
  claim(
    message !== '' && message.length <= 1000 && detail.length <= 1500,
    'the length of a problem message is unbounded',
  )
  const location = / to "(.*)"; redirects are never followed/s.exec(detail)?.[1] ?? ''
  claim(!/[?#]/.test(location), 'the log contains the query of a redirect')
  if (problem.refusal !== undefined) {
    claim(problem.refusal.name in REFUSALS, `a refusal has the unknown name ${problem.refusal.name}`)
    claim(problem.body === undefined, 'a refusal sends the text of the gateway to the client')
  }
  claim(retryAfterMs >= 0 && retryAfterMs <= 86_400_000, 'the time until a retry is unbounded')
  if (problem.body !== undefined) {
    // The connector shortens strings in the body to their first line.
    claim(
      body.equals(problem.body) ||
        (problem.body.length < body.length && /[\n\r\\\u2028\u2029]/.test(body.toString())),
      'the body of an error was changed',
    )
    claim(problem.body.length <= ERROR_BODY_BYTES_MAX, 'the length of an error body is unbounded')
  }
  checkReply(problemReply(TARGET, problem, CONTEXT))
  const { cause } = problem
  claim(cause === undefined, 'an answer of the model server caused an internal error')
  return shapeOf(
    `${code} ${Math.floor(status / 100)} ${UPSTREAM_TEXT.has(code) ? '' : message} ${problem.body !== undefined}`,
  )
}

function checkReply({ topic, properties, payload, retain }: Reply): void {
  claim(
    topic === TARGET.topic && !retain && properties.correlationData === TARGET.correlationData,
    'a reply has the wrong topic, Correlation Data or Retain flag',
  )
  const texts = [properties.contentType ?? 'none', ...properties.userProperties!]
  claim(
    texts.every((text) => /^[\x20-\x7e]{1,400}$/.test(text)),
    'a property of a reply contains characters for which a broker may disconnect',
  )
  if (properties.payloadFormatIndicator !== 1) return
  // MQTT 5 §3.3.2.3.2: the payload must be UTF-8.
  claim(
    properties.contentType === 'application/json' && isUtf8(payload),
    'a body that is not UTF-8 is marked as UTF-8',
  )
}
