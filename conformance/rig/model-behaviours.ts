// The models of the fake model server: a model's name selects its behaviour.
import { createHash } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import {
  after,
  bytes,
  bytesThenEnd,
  echo,
  flood,
  hang,
  json,
  reset,
  text,
  trickle,
  type Answer,
  type ModelCall,
} from './answers.ts'

const PAGE = '<!DOCTYPE html><html><head><title>Sign In</title></head></html>'
const OK = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n'
const DEPTH = 400_000
const SHORT_ANSWER = '{"predictions":[1]}'

/** Faults of model servers and of the gateways in front of them. */
const FAULTY: Readonly<Record<string, Answer>> = {
  hang,
  reset,
  cut: ({ response, socket }) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
    response.write('{"predictions":[1', () => socket.destroy())
  },
  html200: text(200, 'text/html', PAGE),
  html403: text(403, 'text/html; charset=utf-8', PAGE),
  redirect: text(302, 'text/plain', '', { location: '/dex/auth?client_id=x' }),
  redirect307: text(307, 'text/plain', '', { location: 'http://169.254.169.254/' }),
  'long-length': bytesThenEnd(`${OK}content-length: 500\r\n\r\n${SHORT_ANSWER}`),
  'short-length': bytesThenEnd(`${OK}content-length: 10\r\n\r\n${SHORT_ANSWER}`),
  garbage: bytesThenEnd('220 smtp.example ESMTP\r\n'),
  endless: ({ response, socket }) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    const chunk = Buffer.alloc(64 * 1024, 0x20)
    let left = (10 * 1024 ** 3) / chunk.length
    const more = (): void => {
      while (left-- > 0 && !socket.destroyed)
        if (!response.write(chunk)) return void response.once('drain', more)
      response.end()
    }
    more()
  },
  error400: json(400, { error: 'Unrecognized request format: boom' }),
  error500: json(500, { error: 'ValueError : boom' }),
  plain500: text(500, 'text/plain', 'Internal Server Error'),
  notready: json(503, { error: 'Model with name notready is not ready.' }),
  full: json(429, { error: 'Too many requests.' }),
  'retry-after': json(503, { error: 'busy' }, { 'retry-after': '2' }),
  error200: json(200, { error: 'boom' }),
  batcher200: text(200, 'text/plain; charset=utf-8', '{"message":"boom","batchId":"","predictions":null}'),
  bigheaders: json(200, SHORT_ANSWER, { 'x-big': 'x'.repeat(64 * 1024) }),
  trickle: ({ response, socket }) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
    const timer = setInterval(() => (socket.destroyed ? clearInterval(timer) : response.write(' ')), 200)
  },
  nojson: text(200, 'application/json', 'oops'),
  jwt401: text(401, 'text/plain', 'Jwt is expired', {
    'www-authenticate': 'Bearer realm="http://x/", error="invalid_token"',
  }),
  rbac403: text(403, 'text/plain', 'RBAC: access denied', { server: 'istio-envoy' }),
  noroute: ({ response }) => {
    response.writeHead(404, { server: 'istio-envoy' })
    response.end()
  },
  nohealthy: text(503, 'text/plain', 'no healthy upstream'),
}

/** Answers whose bytes attack the reader. The connection cannot be used afterwards. */
const HOSTILE: Readonly<Record<string, Answer>> = {
  // Sends FIN instead of an answer.
  'half-close': bytesThenEnd(''),
  'slow-loris': trickle(`${OK}content-length: 1000\r\n\r\n`, 1000),
  'slow-headers': trickle('HTTP/1.1 200 OK\r\n', 1000),
  'endless-headers': flood(OK, (count) => `x-${count}: ${'y'.repeat(1000)}\r\n`),
  'endless-1xx': flood('', () => 'HTTP/1.1 100 Continue\r\n\r\n'),
  'endless-body': flood(`${OK}content-length: 10737418240\r\n\r\n`, () => ' '.repeat(65_536)),
  'endless-chunks': flood(
    `${OK}transfer-encoding: chunked\r\n\r\n`,
    () => `10000\r\n${' '.repeat(65_536)}\r\n`,
  ),
  'bad-chunk': bytes(`${OK}transfer-encoding: chunked\r\n\r\nZZZ\r\n{}\r\n0\r\n\r\n`),
  'two-lengths': bytes(`${OK}content-length: 2\r\ncontent-length: 18\r\n\r\n${SHORT_ANSWER}`),
  'huge-length': bytes(`${OK}content-length: 99999999999999999999\r\n\r\n{}`),
  'deep-json': json(200, `${'['.repeat(DEPTH)}${']'.repeat(DEPTH)}`, { 'content-length': `${2 * DEPTH}` }),
  gzip: ({ response }) => {
    const head = { 'content-type': 'application/json', 'content-encoding': 'gzip', 'content-length': 4 }
    response.writeHead(200, head).end(Buffer.from([0x1f, 0x8b, 0x08, 0x00]))
  },
}

const BEHAVIOURS: Readonly<Record<string, Answer>> = {
  ...FAULTY,
  ...HOSTILE,
  echo,
  // Hangs, unless the body contains "answer": looks like a server that answered at first and then stopped answering.
  stops: ({ response }, { body }) => {
    if (body.includes('answer')) response.end(SHORT_ANSWER)
  },
}

/** Answers of one form with any error status: `json-413` as a model server, `text-413` and `page-413` as a gateway. */
const WITH_STATUS: Readonly<Record<string, (status: number, reason: string) => Answer>> = {
  json: (status, error) => json(status, { error }),
  text: (status, reason) => text(status, 'text/plain', reason),
  page: (status, reason) =>
    text(
      status,
      'text/html',
      `<html>\r\n<head><title>${status} ${reason}</title></head>\r\n<body></body>\r\n</html>\r\n`,
    ),
}

function withStatus(model: string): Answer | undefined {
  const [, form = '', status = ''] = /^([a-z]+)-(\d{3})$/.exec(model) ?? []
  return WITH_STATUS[form]?.(Number(status), STATUS_CODES[status] ?? 'Error')
}

/** Names of the models that simulate a fault of a server or a gateway. */
export const FAULTY_MODELS = Object.keys(FAULTY)

/** Names of the models whose answers attack the code that reads them. */
export const HOSTILE_MODELS = Object.keys(HOSTILE)

/** Returns a healthy model's prediction: the digest of the body. A wrong digest reveals a crossed answer. */
export function digest(body: string | Uint8Array): string {
  return createHash('sha256').update(body).digest('hex')
}

/** Answers with `{"predictions":["<digest of the body>"]}`, or its V2 equivalent. */
export const healthy: Answer = (reply, call) => {
  const answer = digest(call.body)
  const output = { name: 'digest', datatype: 'BYTES', shape: [1], data: [answer] }
  const body =
    call.protocol === 'v1' ? { predictions: [answer] } : { model_name: call.model, outputs: [output] }
  json(200, body)(reply, call)
}

/**
 * Selects a behaviour by the model's name: `slow-250` answers after 250 ms, `json-413`, `text-413` and `page-413` answer
 * with that status, `once-reset` resets the first call with each body, models listed in FAULTY_MODELS and HOSTILE_MODELS
 * misbehave, and all others answer as `healthy`.
 */
export class NamedBehaviours {
  readonly #seen = new Set<string>()

  readonly answer: Answer = (reply, call) => {
    const delayMs = Number(/^slow-(\d+)/.exec(call.model)?.[1] ?? 0)
    const name = this.#nameOf(call)
    after(delayMs, BEHAVIOURS[name] ?? withStatus(name) ?? healthy)(reply, call)
  }

  #nameOf({ model, body }: ModelCall): string {
    const once = /^once-(.+)$/.exec(model)?.[1]
    if (once === undefined) return model
    const key = `${model} ${digest(body)}`
    if (this.#seen.has(key)) return model
    this.#seen.add(key)
    return once
  }
}
