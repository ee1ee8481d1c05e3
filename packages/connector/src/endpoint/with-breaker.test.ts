// Tests when a circuit opens, admits probes and closes. The clock is fake; the server is a list of outcomes.
import { Problem } from '@inferwire/protocol'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Endpoint, EndpointRequest, EndpointResponse } from '../step.ts'
import { createLog, UpstreamFigures } from '../telemetry/index.ts'
import { Circuit, type CircuitOptions } from './circuit.ts'
import { UpstreamFailure, type FailureSign } from './upstream-failure.ts'
import { withBreaker } from './with-breaker.ts'

const ANSWER: EndpointResponse = {
  status: 200,
  body: Buffer.from('{}'),
  contentType: 'application/json',
  inferenceHeaderContentLength: undefined,
}
const DAY_MS = 86_400_000

function failure(sign: FailureSign): UpstreamFailure {
  return new UpstreamFailure(sign, false, 'upstream_unreachable', 'It refuses.', { detail: 'why' })
}
const REFUSED = failure('unreachable')
const TIMED_OUT = new Problem('deadline_exceeded', 'x')

let figures: UpstreamFigures
let lines: Record<string, unknown>[]
let options: CircuitOptions
let circuit: Circuit
let endpoint: Endpoint
let calls: number
/** The behaviour of the next calls; undefined = they succeed. */
let server: (() => Promise<EndpointResponse>) | undefined

beforeEach(() => {
  vi.useFakeTimers()
  start()
})
afterEach(() => void vi.useRealTimers())

// `random` is 1, so each interval has its maximum length.
function start(overrides: Partial<CircuitOptions> = {}): void {
  figures = new UpstreamFigures('iris')
  lines = []
  calls = 0
  server = undefined
  options = {
    failuresMax: 5,
    openMinMs: 200,
    openMaxMs: 1_000,
    timeoutMinMs: 27_000,
    probesMax: 32,
    model: 'iris',
    url: 'http://iris/',
    log: createLog(
      { level: 'debug', format: 'json' },
      { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) },
    ),
    figures,
    random: () => 1,
    ...overrides,
  }
  circuit = new Circuit(options)
  circuit.begin()
  const inner: Endpoint = {
    call: () => {
      calls += 1
      return server === undefined ? Promise.resolve(ANSWER) : server()
    },
  }
  endpoint = withBreaker(inner, circuit)
}

const ask = (): Promise<unknown> => endpoint.call({} as EndpointRequest).catch((error: unknown) => error)

// Makes calls that fail after `afterMs`.
async function fail(times: number, error: Error, afterMs = 0): Promise<void> {
  server = () =>
    new Promise((_resolve, reject) => {
      setTimeout(() => reject(error), afterMs)
    })
  const outcomes = Array.from({ length: times }, () => ask())
  await vi.advanceTimersByTimeAsync(afterMs)
  await Promise.all(outcomes)
  server = undefined
}

async function openIt(): Promise<void> {
  await fail(5, REFUSED)
  expect(circuit.state).toBe(2)
}

// Makes a call that hangs until `end` is called.
function hang(): { outcome: Promise<unknown>; end: (error?: Error) => Promise<unknown> } {
  let resolve!: (response: EndpointResponse) => void
  let reject!: (error: Error) => void
  const promise = new Promise<EndpointResponse>((...ends) => ([resolve, reject] = ends))
  server = () => promise
  const outcome = ask()
  server = undefined
  const end = (error?: Error): Promise<unknown> => {
    if (error === undefined) resolve(ANSWER)
    else reject(error)
    return outcome
  }
  return { outcome, end }
}

test('consecutive failures open the circuit, which is logged once', async () => {
  await fail(4, REFUSED)
  expect(circuit.state).toBe(0)
  await fail(20, REFUSED)
  expect(circuit.state).toBe(2)
  expect(figures.circuitOpens).toBe(1)
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatchObject({
    level: 'warn',
    event: 'circuit_opened',
    model: 'iris',
    url: 'http://iris/',
    code: 'upstream_unreachable',
    detail: 'why',
    failures: 5,
  })
})

test('an answer resets the count of failures', async () => {
  await fail(4, REFUSED)
  await ask()
  await fail(4, REFUSED)
  expect(circuit.state).toBe(0)
})

test('an open circuit rejects requests at once, and the problem contains the time to wait before a retry', async () => {
  await openIt()
  const asked = calls
  const problem = await ask()
  expect(problem).toMatchObject({ code: 'circuit_open', status: 503, retryable: true, retryAfterMs: 200 })
  expect(calls).toBe(asked)
})

test('after the wait, exactly one request probes the server', async () => {
  await openIt()
  await vi.advanceTimersByTimeAsync(199)
  expect(await ask()).toMatchObject({ code: 'circuit_open', retryAfterMs: 1 })
  await vi.advanceTimersByTimeAsync(1)
  const asked = calls
  const probe = hang()
  expect(circuit.state).toBe(1)
  expect(await ask()).toMatchObject({ code: 'circuit_open' })
  expect(calls).toBe(asked + 1)
  expect(await probe.end()).toBe(ANSWER)
  expect(circuit.state).toBe(0)
  expect(await ask()).toBe(ANSWER)
  expect(lines.map(({ event, level }) => [event, level])).toEqual([
    ['circuit_opened', 'warn'],
    ['circuit_closed', 'info'],
  ])
  expect(lines[1]).toMatchObject({ model: 'iris', url: 'http://iris/', openForMs: 200 })
})

test('each failed probe doubles the wait, up to the maximum', async () => {
  await openIt()
  for (const waitMs of [200, 400, 800, 1_000, 1_000]) {
    await vi.advanceTimersByTimeAsync(waitMs - 1)
    expect(await ask()).toMatchObject({ code: 'circuit_open' })
    await vi.advanceTimersByTimeAsync(1)
    const asked = calls
    await fail(1, REFUSED)
    expect(calls).toBe(asked + 1)
    expect(circuit.state).toBe(2)
  }
  expect(figures.circuitOpens).toBe(1)
  expect(lines).toHaveLength(1)
})

test('jitter shortens a wait by at most half', async () => {
  start({ random: () => 0 })
  await openIt()
  expect(await ask()).toMatchObject({ retryAfterMs: 100 })
})

test('a hanging probe delays the next probe by at most the maximum wait', async () => {
  await openIt()
  await vi.advanceTimersByTimeAsync(200)
  const first = hang()
  await vi.advanceTimersByTimeAsync(999)
  expect(await ask()).toMatchObject({ code: 'circuit_open' })
  await vi.advanceTimersByTimeAsync(1)
  expect(await ask()).toBe(ANSWER)
  expect(circuit.state).toBe(0)
  await first.end(REFUSED)
  await fail(4, REFUSED)
  expect(circuit.state).toBe(0)
})

test('limits the number of hanging probes', async () => {
  start({ probesMax: 2 })
  await openIt()
  await vi.advanceTimersByTimeAsync(200)
  const first = hang()
  await vi.advanceTimersByTimeAsync(1_000)
  hang()
  await vi.advanceTimersByTimeAsync(5_000)
  expect(endpoint.refusal!()).toMatchObject({ code: 'circuit_open', retryAfterMs: 200 })
  expect(await ask()).toMatchObject({ code: 'circuit_open' })
  await first.end(TIMED_OUT)
  expect(endpoint.refusal!()).toBe(undefined)
  expect(await ask()).toBe(ANSWER)
  expect(circuit.state).toBe(0)
})

test('a call that began before the circuit opened neither closes nor reopens it', async () => {
  const good = hang()
  const bad = Array.from({ length: 5 }, () => hang())
  await openIt()
  expect(await good.end()).toBe(ANSWER)
  expect(circuit.state).toBe(2)
  await vi.advanceTimersByTimeAsync(200)
  await ask()
  expect(circuit.state).toBe(0)
  for (const each of bad) await each.end(REFUSED)
  expect(circuit.state).toBe(0)
})

test.each<[string, Error]>([
  ["a model's own error", new Problem('upstream_error', 'x', { status: 500 })],
  ['a server that is busy', failure('busy')],
  ['a server that is full', failure('rejected')],
  ['a server that loads the model', failure('starting')],
  ['a rejected credential', new Problem('unauthorized_upstream', 'x')],
  ['a cancelled request', new Problem('cancelled', 'x')],
  ['a fault of the connector', new Problem('internal', 'x')],
])('%s does not count as a failure', async (_what, error) => {
  await ask()
  await fail(20, error)
  expect(circuit.state).toBe(0)
})

test("a model's own error closes the circuit, because it proves that the server responds", async () => {
  await openIt()
  await vi.advanceTimersByTimeAsync(200)
  await fail(1, new Problem('upstream_error', 'x', { status: 400 }))
  expect(circuit.state).toBe(0)
})

test('after a cancelled probe, the next request is a probe', async () => {
  await openIt()
  await vi.advanceTimersByTimeAsync(200)
  const probe = hang()
  await probe.end(new Problem('cancelled', 'x'))
  expect(circuit.state).toBe(2)
  expect(await ask()).toBe(ANSWER)
  expect(circuit.state).toBe(0)
})

test("counts long timeouts as failures, but not a client's short deadlines", async () => {
  await ask()
  await fail(1_000, TIMED_OUT, 1)
  await fail(100, TIMED_OUT, 26_900)
  expect(circuit.state).toBe(0)
  await ask()
  await fail(5, TIMED_OUT, 27_000)
  expect(circuit.state).toBe(2)
})

test('counts timeouts of calls that were queued behind hanging calls', async () => {
  await ask()
  const hanging = Array.from({ length: 4 }, () => hang())
  await vi.advanceTimersByTimeAsync(29_000)
  const late = Array.from({ length: 4 }, () => hang())
  await vi.advanceTimersByTimeAsync(1_000)
  for (const each of hanging) await each.end(TIMED_OUT)
  expect(circuit.state).toBe(0)
  await late[0]!.end(TIMED_OUT)
  expect(circuit.state).toBe(2)
})

test('a client with short deadlines does not open the circuit while another client is answered', async () => {
  for (let round = 0; round < 60; round++) {
    const slow = hang()
    await fail(10, TIMED_OUT, 1_000)
    await slow.end()
  }
  expect(circuit.state).toBe(0)
})

test.each<[string, Error, number]>([
  ['timeouts', TIMED_OUT, 30_000],
  ["a gateway's 502, 503 and 504", failure('no-answer'), 10],
])(
  '%s count as failures only while the server is warm, not during a cold start',
  async (_what, error, afterMs) => {
    // The server has never answered, so it may be starting.
    await fail(20, error, afterMs)
    expect(circuit.state).toBe(0)
    // The server answered less than 60 s ago, so it cannot have been scaled to zero.
    await ask()
    await vi.advanceTimersByTimeAsync(59_000)
    await fail(5, error, afterMs)
    expect(circuit.state).toBe(2)
  },
)

test('a server that was idle for a minute counts as cold', async () => {
  await ask()
  await vi.advanceTimersByTimeAsync(60_000)
  await fail(20, TIMED_OUT, 30_000)
  await fail(20, failure('no-answer'))
  expect(circuit.state).toBe(0)
})

test('a server that has only reported that it is starting is not warm', async () => {
  await fail(1, failure('starting'))
  await fail(20, TIMED_OUT, 30_000)
  expect(circuit.state).toBe(0)
})

test("a gateway's error never closes an open circuit, warm or not", async () => {
  await openIt()
  await vi.advanceTimersByTimeAsync(DAY_MS)
  await fail(1, failure('no-answer'))
  expect(circuit.state).toBe(2)
})

test('with failuresMax 0, the circuit never opens', async () => {
  start({ failuresMax: 0 })
  await fail(100, REFUSED)
  expect(circuit.state).toBe(0)
})

test('the circuit uses no timer, and disappears from the figures when its model is removed', async () => {
  await openIt()
  expect(vi.getTimerCount()).toBe(0)
  const successor = new Circuit(options)
  successor.begin()
  circuit.end()
  expect(figures.circuit).toBe(successor)
  successor.end()
  expect(figures.circuit).toBeUndefined()
  // Requests that were queued at the model's gate are still sent, but their results no longer change or log anything.
  const known = lines.length
  await fail(20, REFUSED)
  expect([circuit.state, lines.length]).toEqual([0, known])
})

test('reports only the first answer after each failure or call of expectAnswer', async () => {
  const returns: string[] = []
  circuit.onReturn = () => returns.push('return')
  await ask()
  await fail(1, failure('busy'))
  await ask()
  expect(returns).toEqual([])
  await fail(2, failure('starting'))
  expect(returns).toEqual([])
  await ask()
  await ask()
  expect(returns).toHaveLength(1)
  circuit.expectAnswer()
  await ask()
  await ask()
  expect(returns).toHaveLength(2)
})

test('reports that the server is back when the circuit closes, unless the model was removed', async () => {
  let returns = 0
  circuit.onReturn = () => (returns += 1)
  await openIt()
  await vi.advanceTimersByTimeAsync(1_000)
  await ask()
  expect([circuit.state, returns]).toEqual([0, 1])
  await fail(1, REFUSED)
  circuit.end()
  await ask()
  expect(returns).toBe(1)
})

test('a stream that ends early after its first part is not a failure, and its first part counts as an answer', async () => {
  await ask()
  const early = (error: Problem): Promise<unknown> => {
    server = undefined
    const streaming: Endpoint = {
      call: (request) => {
        request.emit!({ body: Buffer.from('{}'), contentType: 'application/json' })
        return new Promise((_resolve, reject) => {
          setTimeout(() => reject(error), 30_000)
        })
      },
    }
    const request = { emit: () => {} } as unknown as EndpointRequest
    return withBreaker(streaming, circuit)
      .call(request)
      .catch((reason: unknown) => reason)
  }
  const outcomes = Array.from({ length: 10 }, () => early(TIMED_OUT))
  await vi.advanceTimersByTimeAsync(30_000)
  expect(await Promise.all(outcomes)).toEqual(Array.from({ length: 10 }, () => TIMED_OUT))
  expect(circuit.state).toBe(0)
})

test('a stream that fails before its first part counts as a failure', async () => {
  const failing: Endpoint = { call: () => Promise.reject(REFUSED) }
  const request = { emit: () => {} } as unknown as EndpointRequest
  for (let count = 0; count < 5; count++) {
    await withBreaker(failing, circuit)
      .call(request)
      .catch(() => undefined)
  }
  expect(circuit.state).toBe(2)
})

// Emits one part at once, and ends after `afterMs`.
function stream(afterMs: number, error?: Problem): Endpoint {
  return {
    call: (request) => {
      request.emit!({ body: Buffer.from('{}'), contentType: 'application/json' })
      return new Promise((resolve, reject) => {
        setTimeout(() => (error === undefined ? resolve(ANSWER) : reject(error)), afterMs)
      })
    },
  }
}
const askFor = (inner: Endpoint): Promise<unknown> =>
  withBreaker(inner, circuit)
    .call({ emit: () => {} } as unknown as EndpointRequest)
    .catch((error: unknown) => error)

describe('streams', () => {
  test('the first part of a probe closes the circuit, before the stream ends', async () => {
    await openIt()
    await vi.advanceTimersByTimeAsync(1_000)
    const probe = askFor(stream(60_000))
    expect(circuit.state).toBe(0)
    await vi.advanceTimersByTimeAsync(60_000)
    expect([await probe, circuit.state]).toEqual([ANSWER, 0])
  })

  test.each([TIMED_OUT, new Problem('cancelled', 'x'), REFUSED])(
    'the end of a probe after its first part does not matter (%s)',
    async (error) => {
      await openIt()
      await vi.advanceTimersByTimeAsync(1_000)
      const probe = askFor(stream(30_000, error))
      await vi.advanceTimersByTimeAsync(30_000)
      expect([await probe, circuit.state]).toEqual([error, 0])
    },
  )

  test('a probe that fails before its first part leaves the circuit open', async () => {
    await openIt()
    await vi.advanceTimersByTimeAsync(1_000)
    await askFor({ call: () => Promise.reject(REFUSED) })
    expect(circuit.state).toBe(2)
  })

  test('the idle time after a stream does not count as time without an answer', async () => {
    const first = askFor(stream(1_000))
    await vi.advanceTimersByTimeAsync(1_000)
    await first
    await vi.advanceTimersByTimeAsync(30_000)
    for (let count = 0; count < 5; count++) await fail(1, TIMED_OUT, 100)
    expect(circuit.state).toBe(0)
  })
})
