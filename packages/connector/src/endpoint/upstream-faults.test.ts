// Uses a real server that fails in various ways; checks the number of calls, the outcome and the state of the circuit.
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net'
import { Problem } from '@inferwire/protocol'
import { afterEach, describe, expect, test } from 'vitest'
import { RequestDeadline } from '../admission/index.ts'
import type { Endpoint, EndpointResponse } from '../step.ts'
import { createLog, UpstreamFigures } from '../telemetry/index.ts'
import { Circuit } from './circuit.ts'
import { HttpEndpoint, type HttpTarget } from './http/http-endpoint.ts'
import { RetryBudget } from './retry-budget.ts'
import { openPool } from './http/open-pool.ts'
import { withBreaker } from './with-breaker.ts'
import { withRetry } from './with-retry.ts'
import { STREAM_LIMITS } from './testing/stream-limits.ts'
import { ServiceTime } from './refusal/service-time.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

type Answer = (response: ServerResponse) => void

const says =
  (status: number, body: string, headers: Record<string, string> = {}): Answer =>
  (response) =>
    response.writeHead(status, { 'content-type': 'text/plain', ...headers }).end(body)
const good = says(200, '{"predictions":[1]}', { 'content-type': 'application/json' })

interface Faulty {
  readonly url: string
  /** Number of requests that the server received completely. */
  seen: number
}

// Starts a server that answers correctly once, so that the circuit counts it as warm, then fails in the given way
// `times` times, and then answers correctly again.
async function startServer(bad: Answer, times: number): Promise<Faulty> {
  let left = times
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      faulty.seen += 1
      const answer = faulty.seen > 1 && left-- > 0 ? bad : good
      answer(response)
    })
  })
  const faulty = { url: await listen(server), seen: 0 }
  closing.push(() => server.closeAllConnections())
  return faulty
}

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

interface Asked {
  readonly outcome: EndpointResponse | Problem
  /** The code of the problem, or the status of the response. */
  readonly result: string | number
}

class Trial {
  readonly figures = new UpstreamFigures('iris')
  readonly circuit: Circuit
  readonly #endpoint: Endpoint

  // One failure opens the circuit, so that each failure is visible.
  constructor(url: string, isRepeatable = true, attemptsMax = 3) {
    const pool = openPool({ url, tls: {}, callsMax: 100 })
    closing.push(() => pool.destroy())
    const { figures } = this
    this.circuit = new Circuit({
      failuresMax: 1,
      openMinMs: 60_000,
      openMaxMs: 60_000,
      timeoutMinMs: 100,
      probesMax: 32,
      model: 'iris',
      url,
      log: createLog({ level: 'error', format: 'json' }, { write: () => undefined }),
      figures,
    })
    const target: HttpTarget = {
      pool,
      origin: url,
      pathPrefix: '',
      host: undefined,
      credential: { headers: () => [] },
      isRepeatable: true,
      responseBytesMax: 10_000,
      stream: STREAM_LIMITS,
      errorText: 'first-line',
      serviceTime: new ServiceTime(),
    }
    const http = new HttpEndpoint(target, { method: 'POST', path: '/v1/models/iris:predict' })
    const budget = new RetryBudget(30, performance.now() - 60_000)
    const retrying = withRetry(http, { attemptsMax, minMs: 5, maxMs: 2_000, isRepeatable, budget, figures })
    this.#endpoint = withBreaker(retrying, this.circuit)
  }

  async ask(budgetMs = 10_000): Promise<Asked> {
    const nowMs = performance.now()
    const deadline = new RequestDeadline(nowMs, budgetMs, nowMs)
    const outcome = await this.#endpoint
      .call({
        body: Buffer.from('{"instances":[1]}'),
        contentType: 'application/json',
        inferenceHeaderContentLength: undefined,
        headers: [],
        deadline,
        emit: undefined,
      })
      .catch((error: unknown) => Problem.from(error))
    deadline.end()
    expect(deadline.waiting).toBeUndefined()
    return { outcome, result: outcome instanceof Problem ? outcome.code : outcome.status }
  }
}

const reset: Answer = (response) => response.socket!.resetAndDestroy()
const cut: Answer = (response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
  response.write('{"predictions":[1', () => response.socket!.destroy())
}
const below100: Answer = (response) =>
  void response.socket!.write('HTTP/1.1 099 x\r\ncontent-length: 2\r\n\r\n{}')
// Both dates are computed from one time. Dates have a resolution of one second, so with two readings of the
// clock their difference would vary.
function inSeconds(seconds: number, day?: string): Record<string, string> {
  const nowMs = day === undefined ? Date.now() : Date.parse(day)
  return { date: dateOf(nowMs), 'retry-after': dateOf(nowMs + seconds * 1000) }
}
const dateOf = (timeMs: number): string => new Date(timeMs).toUTCString()
const PAGE = { 'content-type': 'text/html' }
const JSON_TYPE = { 'content-type': 'application/json' }

describe.each<{
  fault: string
  bad: Answer
  /** Whether a retry succeeds if the fault occurs once. */
  mended: 'always' | 'if repeatable' | 'never'
  code: string
  /** Whether the circuit opens. */
  isDown: boolean
}>([
  {
    fault: 'a reset after the request',
    bad: reset,
    mended: 'if repeatable',
    code: 'upstream_unreachable',
    isDown: true,
  },
  {
    fault: 'a truncated answer',
    bad: cut,
    mended: 'if repeatable',
    code: 'upstream_unreachable',
    isDown: true,
  },
  {
    fault: 'a status below 100',
    bad: below100,
    mended: 'never',
    code: 'upstream_invalid_response',
    isDown: false,
  },
  { fault: '429', bad: says(429, 'busy'), mended: 'never', code: 'overloaded', isDown: false },
  {
    fault: '502',
    bad: says(502, 'Bad Gateway'),
    mended: 'if repeatable',
    code: 'upstream_error',
    isDown: true,
  },
  {
    fault: '502 as a page',
    bad: says(502, '<html>', PAGE),
    mended: 'if repeatable',
    code: 'upstream_unreachable',
    isDown: true,
  },
  {
    fault: 'a 503 of a gateway',
    bad: says(503, 'no healthy upstream'),
    mended: 'always',
    code: 'upstream_unreachable',
    isDown: true,
  },
  {
    fault: 'a 503 of a starting server',
    bad: says(503, '{"error":"x"}', JSON_TYPE),
    mended: 'always',
    code: 'model_not_ready',
    isDown: false,
  },
  {
    fault: '504',
    bad: says(504, 'request timeout'),
    mended: 'if repeatable',
    code: 'upstream_error',
    isDown: true,
  },
  {
    fault: '500',
    bad: says(500, '{"error":"x"}', JSON_TYPE),
    mended: 'never',
    code: 'upstream_error',
    isDown: false,
  },
  {
    fault: '400',
    bad: says(400, '{"error":"x"}', JSON_TYPE),
    mended: 'never',
    code: 'upstream_error',
    isDown: false,
  },
  {
    fault: '404',
    bad: says(404, '{"error":"x"}', JSON_TYPE),
    mended: 'never',
    code: 'upstream_error',
    isDown: false,
  },
])('the fault $fault', ({ bad, mended, code, isDown }) => {
  test.each([true, false])(
    'is retried if it occurs once and a retry is safe (repeatable: %s)',
    async (isRepeatable) => {
      const server = await startServer(bad, 1)
      const trial = new Trial(server.url, isRepeatable)
      expect((await trial.ask()).result).toBe(200)
      const isMended = mended === 'always' || (mended === 'if repeatable' && isRepeatable)
      expect((await trial.ask()).result).toBe(isMended ? 200 : code)
      expect(server.seen).toBe(isMended ? 3 : 2)
      expect(trial.figures.retries).toBe(isMended ? 1 : 0)
    },
  )

  test('is reported with its code if it persists, and opens the circuit if the server is down', async () => {
    const server = await startServer(bad, Infinity)
    const trial = new Trial(server.url)
    expect((await trial.ask()).result).toBe(200)
    expect((await trial.ask()).result).toBe(code)
    expect(server.seen).toBe(1 + (mended === 'never' ? 1 : 3))
    expect(trial.circuit.state).toBe(isDown ? 2 : 0)
    expect((await trial.ask()).result).toBe(isDown ? 'circuit_open' : code)
  })
})

test.each([true, false])('retries a refused connection (repeatable: %s)', async (isRepeatable) => {
  const server = createTcpServer()
  const url = await listen(server)
  server.close()
  const trial = new Trial(url, isRepeatable)
  expect((await trial.ask()).result).toBe('upstream_unreachable')
  expect(trial.figures.retries).toBe(2)
  // The circuit opens even if the server is cold, because connections are not refused during a cold start.
  expect(trial.circuit.state).toBe(2)
})

test('retries after a failed name lookup or TLS handshake even if the model is not repeatable', async () => {
  const plain = await listen(createTcpServer((socket) => socket.end('no TLS\r\n')))
  for (const url of ['http://inferwire.invalid', plain.replace('http:', 'https:')]) {
    const trial = new Trial(url, false)
    expect((await trial.ask()).result).toBe('upstream_unreachable')
    expect([trial.figures.retries, trial.circuit.state]).toEqual([2, 2])
  }
})

test('does not retry a call that times out; only a long timeout counts as a failure', async () => {
  const server = await startServer(() => undefined, Infinity)
  const trial = new Trial(server.url)
  expect((await trial.ask()).result).toBe(200)
  expect((await trial.ask(50)).result).toBe('deadline_exceeded')
  expect(trial.circuit.state).toBe(0)
  expect((await trial.ask(150)).result).toBe('deadline_exceeded')
  expect([server.seen, trial.circuit.state, trial.figures.retries]).toEqual([3, 2, 0])
})

test('waits for the time in Retry-After within the deadline, and passes a longer time to the client', async () => {
  const server = await startServer(says(429, 'busy', { 'retry-after': '1' }), 1)
  const trial = new Trial(server.url)
  await trial.ask()
  const startedAtMs = performance.now()
  expect((await trial.ask()).result).toBe(200)
  expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(990)

  const busy = await startServer(says(429, 'busy', { 'retry-after': '1' }), Infinity)
  const impatient = new Trial(busy.url)
  await impatient.ask()
  const { outcome } = await impatient.ask(900)
  expect(outcome).toMatchObject({ status: 429, retryable: true, retryAfterMs: 1_000 })
  expect(busy.seen).toBe(2)
})

test.each([
  ['31 years', () => ({ 'retry-after': '1000000000' }), 86_400_000],
  ['a date after the deadline', () => inSeconds(60), 60_000],
  ['a date after the longest wait', () => inSeconds(5), 5_000],
  ['a date from a server whose clock is behind', () => inSeconds(60, '2001-01-01'), 60_000],
])('passes a long Retry-After to the client without a retry: %s', async (_what, headers, waitMs) => {
  for (const bad of [says(503, '{"error":"x"}', headers()), says(503, '<html>', { ...PAGE, ...headers() })]) {
    const server = await startServer(bad, Infinity)
    const trial = new Trial(server.url)
    await trial.ask()
    const { outcome } = await trial.ask()
    expect(outcome).toMatchObject({ retryable: true, retryAfterMs: waitMs })
    expect([server.seen, trial.figures.retries]).toEqual([2, 0])
  }
})

test('waits until the date in Retry-After if that date is in the near future', async () => {
  const server = await startServer(says(503, 'x', inSeconds(1)), 1)
  const trial = new Trial(server.url)
  await trial.ask()
  const startedAtMs = performance.now()
  expect((await trial.ask()).result).toBe(200)
  expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(990)
})

test('does not count an error as a server failure if the connector itself closed the pool', async () => {
  const server = await startServer(good, 0)
  const pool = openPool({ url: server.url, tls: {}, callsMax: 100 })
  await pool.destroy()
  const target: HttpTarget = {
    pool,
    origin: server.url,
    pathPrefix: '',
    host: undefined,
    credential: { headers: () => [] },
    isRepeatable: true,
    responseBytesMax: 1_000,
    stream: STREAM_LIMITS,
    errorText: 'first-line',
    serviceTime: new ServiceTime(),
  }
  const endpoint = new HttpEndpoint(target, { method: 'GET', path: '/' })
  const deadline = { atMs: Infinity, problem: undefined, waiting: undefined }
  const request = { body: Buffer.alloc(0), contentType: 'application/json', headers: [], deadline } as const
  const problem: unknown = await endpoint
    .call({ ...request, inferenceHeaderContentLength: undefined, emit: undefined })
    .catch((error: unknown) => error)
  expect(problem).toMatchObject({ code: 'upstream_unreachable' })
  expect(problem).not.toHaveProperty('sign')
})
