// Tests when a model server is queried for metadata. The clock is fake; the server is a list of answers.
import { Problem } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { ModelFacts } from '../step.ts'
import { createLog, UpstreamFigures } from '../telemetry/index.ts'
import { Circuit } from './circuit.ts'
import { FactsWatch } from './facts-watch.ts'
import { UpstreamFailure } from './upstream-failure.ts'

const V1: ModelFacts = { protocolVersions: ['v1'], unanswered: [] }
const BOTH: ModelFacts = { protocolVersions: ['v2', 'v1'], unanswered: [], platform: 'x' }
const WITH_INPUT: ModelFacts = { ...V1, inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 4] }] }
const WITH_OTHER_INPUT: ModelFacts = { ...V1, inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 5] }] }
const V1_ONLY_ANSWERED: ModelFacts = { protocolVersions: ['v1'], unanswered: ['v2'] }
const REFUSED = new UpstreamFailure('unreachable', false, 'upstream_unreachable', 'It refuses.', {})
const DAY_MS = 86_400_000

let circuit: Circuit
let asked: number
let answers: (ModelFacts | Problem)[]
let learned: ModelFacts[]
let failed: { code: string; retryInMs: number | undefined }[]

beforeEach(() => {
  vi.useFakeTimers()
  asked = 0
  learned = []
  failed = []
  circuit = new Circuit({
    failuresMax: 5,
    openMinMs: 200,
    openMaxMs: 1_000,
    timeoutMinMs: 27_000,
    probesMax: 32,
    model: 'iris',
    url: 'http://iris/',
    log: createLog({ level: 'error', format: 'json' }, { write: () => undefined }),
    figures: new UpstreamFigures('iris'),
  })
})
afterEach(() => void vi.useRealTimers())

// When only the last answer is left, it is repeated. `random` is 1, so each pause has its maximum length.
function start(known: ModelFacts | undefined, ...given: (ModelFacts | Problem)[]): FactsWatch {
  answers = given
  const watch = new FactsWatch({
    ask: () => {
      asked += 1
      const answer = answers.length > 1 ? answers.shift()! : answers[0]!
      return answer instanceof Problem ? Promise.reject(answer) : Promise.resolve(answer)
    },
    known,
    circuit,
    learned: (facts) => learned.push(facts),
    failed: ({ code }, retryInMs) => failed.push({ code, retryInMs }),
    random: () => 1,
  })
  watch.start()
  return watch
}

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

// Reports a client's request and its result to the circuit, as the breaker does.
function request(error?: Error): void {
  const nowMs = performance.now()
  const { epoch } = circuit
  circuit.called(nowMs)
  if (error === undefined) circuit.answered(nowMs)
  else circuit.failed(error, nowMs, epoch)
}

test('queries an unknown model until its server answers, with pauses that grow to 30 s', async () => {
  start(undefined, ...Array.from({ length: 10 }, () => REFUSED), BOTH)
  await pass(DAY_MS)
  expect(failed.map(({ retryInMs }) => retryInMs)).toEqual([
    250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000,
  ])
  expect([asked, learned]).toEqual([11, [BOTH]])
})

test('a request for an unknown model triggers a query at once, but at most one per second', async () => {
  const watch = start(undefined, REFUSED)
  await pass(60_000)
  const before = asked
  await pass(2_000)
  for (let count = 0; count < 100; count += 1) watch.wanted()
  await pass(0)
  expect(asked).toBe(before + 1)
  for (let count = 0; count < 100; count += 1) {
    watch.wanted()
    await pass(10)
  }
  expect(asked).toBe(before + 2)
})

test('a model that loads late is exposed on the first request for it, not after the 30 s pause', async () => {
  const watch = start(undefined, REFUSED)
  await pass(300_000)
  answers = [BOTH]
  const loadedAtMs = performance.now()
  await pass(1_000)
  watch.wanted()
  await pass(0)
  expect([learned, performance.now() - loadedAtMs]).toEqual([[BOTH], 1_000])
})

test.each([
  ['its configuration', V1, REFUSED],
  ['an answer', undefined, V1],
])('sends only one query for a model known from %s while there are no requests', async (_, known, answer) => {
  start(known, answer)
  await pass(DAY_MS)
  expect(asked).toBe(1)
})

test('without a failure, answered requests trigger no query within a minute of the last query', async () => {
  start(undefined, BOTH)
  await pass(0)
  for (let count = 0; count < 59; count += 1) {
    request()
    await pass(1_000)
  }
  expect(asked).toBe(1)
})

test.each([
  ['answers', undefined],
  ['refuses', new Problem('upstream_error', 'Unexpected shape for input "X".', { status: 400 })],
])(
  'learns the new tensors of a model that was reloaded without a failure and now %s requests',
  async (_, outcome) => {
    start(undefined, WITH_INPUT, WITH_OTHER_INPUT)
    await pass(DAY_MS)
    expect(asked).toBe(1)
    request(outcome)
    await pass(1_000)
    expect(learned).toEqual([WITH_INPUT, WITH_OTHER_INPUT])
    for (let count = 0; count < 600; count += 1) {
      request(outcome)
      await pass(100)
    }
    expect(asked).toBe(2)
    request(outcome)
    await pass(1_000)
    expect(asked).toBe(3)
  },
)

test("does not treat a gateway's error as an answer from the server", async () => {
  start(undefined, BOTH)
  await pass(DAY_MS)
  request(new Problem('upstream_invalid_response', 'The response is a web page.', {}))
  request(new Problem('unauthorized_upstream', 'The gateway requires a login.', {}))
  await pass(DAY_MS)
  expect(asked).toBe(1)
})

test('the first request answered after a failure triggers a query, and the result is reported', async () => {
  start(undefined, V1, BOTH)
  await pass(0)
  request(REFUSED)
  await pass(DAY_MS)
  expect(asked).toBe(1)
  request()
  request()
  await pass(1_000)
  expect([asked, learned]).toEqual([2, [V1, BOTH]])
})

test('a circuit that closes triggers a query', async () => {
  start(undefined, V1, BOTH)
  await pass(0)
  for (let count = 0; count < 5; count += 1) request(REFUSED)
  expect(circuit.isOpen).toBe(true)
  await pass(60_000)
  circuit.beginProbe(performance.now())
  circuit.endProbe(undefined, performance.now(), circuit.epoch)
  await pass(1_000)
  expect(learned).toEqual([V1, BOTH])
})

test('repeats a failed query after the next answered request', async () => {
  start(V1, REFUSED, BOTH)
  await pass(60_000)
  expect(failed).toEqual([{ code: 'upstream_unreachable', retryInMs: undefined }])
  request()
  await pass(1_000)
  expect([asked, learned]).toEqual([2, [BOTH]])
})

test('a server that repeatedly fails and returns is queried at growing intervals', async () => {
  start(undefined, V1)
  for (let count = 0; count < 600; count += 1) {
    request(REFUSED)
    request()
    await pass(100)
  }
  // In a minute there are pauses of 1, 2, 4, … seconds, each with a second of jitter.
  expect(asked).toBeGreaterThanOrEqual(5)
  expect(asked).toBeLessThanOrEqual(7)
})

test('for a server that keeps failing and recovering, the pause between queries grows to at most 30 s', async () => {
  start(undefined, V1)
  let askedBefore = 0
  const askedAtMs: number[] = []
  // Advance the clock by ten minutes, in steps that do not divide the pauses.
  for (let ms = 0; ms < 600_000; ms += 130) {
    request(REFUSED)
    request()
    await pass(130)
    if (asked > askedBefore) askedAtMs.push(ms)
    askedBefore = asked
  }
  const gapsS = askedAtMs.slice(1).map((at, index) => (at - askedAtMs[index]!) / 1_000)
  expect(gapsS.slice(6).length).toBeGreaterThan(10)
  for (const gap of gapsS.slice(6)) expect(gap).toBeCloseTo(31, 0)
})

test('a server that answered in only one dialect is queried at short intervals, for at most a minute', async () => {
  start(undefined, V1_ONLY_ANSWERED)
  await pass(61_000)
  expect(asked).toBe(8)
  await pass(DAY_MS)
  expect(asked).toBe(8)
})

test('a server that answers requests but never answers queries in one dialect is queried once a minute', async () => {
  start(undefined, V1_ONLY_ANSWERED)
  await pass(61_000)
  for (let count = 0; count < 600; count += 1) {
    request()
    await pass(1_000)
  }
  // The interval is a minute plus up to a second of jitter.
  expect(asked).toBeGreaterThanOrEqual(8 + 9)
  expect(asked).toBeLessThanOrEqual(8 + 10)
  answers = [BOTH]
  request(REFUSED)
  request()
  await pass(31_000)
  request()
  await pass(1_000)
  expect(learned.at(-1)).toEqual(BOTH)
})

const TENSORS = { state: 'described', description: { platform: 'x' } } as const
const NO_ANSWER = { state: 'unanswered' } as const

test('keeps the known facts of a version whose query failed, and queries it again soon', async () => {
  const known: ModelFacts = { ...BOTH, ofVersions: new Map([['1', TENSORS]]) }
  const loading: ModelFacts = { ...BOTH, ofVersions: new Map([['1', NO_ANSWER]]) }
  const gone: ModelFacts = { ...BOTH, ofVersions: new Map([['1', { state: 'missing', reason: '404' }]]) }
  start(undefined, known, loading, gone)
  await pass(0)
  request(REFUSED)
  request()
  await pass(1_000)
  expect(learned).toEqual([known, known])
  await pass(1_000)
  expect(learned).toEqual([known, known, gone])
})

test('if the server returns during a query, the next answered request triggers another query', async () => {
  let answer!: (facts: ModelFacts) => void
  const watch = new FactsWatch({
    ask: () => {
      asked += 1
      return new Promise((resolve) => (answer = resolve))
    },
    known: V1,
    circuit,
    learned: (facts) => learned.push(facts),
    failed: () => undefined,
    random: () => 1,
  })
  watch.start()
  request(REFUSED)
  request()
  answer(V1)
  await pass(2_000)
  expect(asked).toBe(1)
  request()
  await pass(1_000)
  answer(BOTH)
  await pass(30_000)
  request()
  await pass(DAY_MS)
  expect([asked, learned]).toEqual([2, [V1, BOTH]])
})

test('keeps the known facts of a dialect whose query failed', async () => {
  start(undefined, BOTH, V1_ONLY_ANSWERED, V1)
  await pass(0)
  request(REFUSED)
  request()
  await pass(1_000)
  expect(learned[1]).toEqual({ protocolVersions: ['v2', 'v1'], unanswered: ['v2'], platform: 'x' })
  await pass(1_000)
  expect(learned[2]).toEqual(V1)
})

test('sends no query and reports nothing after stop', async () => {
  const waiting = start(undefined, REFUSED)
  await pass(0)
  waiting.stop()
  await pass(DAY_MS)
  expect(asked).toBe(1)
  const late = start(undefined, BOTH)
  late.stop()
  await pass(DAY_MS)
  request(REFUSED)
  request()
  await pass(DAY_MS)
  expect([asked, learned]).toEqual([2, []])
})
