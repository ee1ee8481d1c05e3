import { Problem } from '@inferwire/protocol'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Deadline } from '../step.ts'
import { ByteBudget } from './byte-budget.ts'
import { ModelGate, type GateLimits } from './model-gate.ts'

type TestDeadline = { -readonly [Key in keyof Deadline]: Deadline[Key] }
const noDeadline = (): TestDeadline => ({ atMs: Infinity, problem: undefined, waiting: undefined })
const expired = new Problem('deadline_exceeded', 'too late')

function arrange(limits: Partial<GateLimits> = {}, bytesMax = 1_000_000) {
  const budget = new ByteBudget(bytesMax)
  const all = {
    concurrency: 1,
    queueDepthMax: 10,
    queueBytesMax: 1_000_000,
    queueWaitMaxMs: 5_000,
    ...limits,
  }
  return { budget, gate: new ModelGate('iris', all, budget) }
}

// Records the state of a request: `runs` or `refused` at once, or `waits` and later `runs` or `expired`.
function enter(gate: ModelGate, bytes: number, deadline = noDeadline(), client = 'a') {
  const request = { bytes, deadline, state: 'runs' }
  try {
    const turn = gate.enter(client, bytes, deadline)
    if (turn !== undefined) {
      request.state = 'waits'
      turn.then(
        () => (request.state = 'runs'),
        () => (request.state = 'expired'),
      )
    }
  } catch (error) {
    expect(error).toMatchObject({ code: 'overloaded', retryable: true, retryAfterMs: 500 })
    request.state = 'refused'
  }
  return request
}
type Entered = ReturnType<typeof enter>

function expire({ deadline }: Entered): void {
  deadline.problem = expired
  const { waiting } = deadline
  deadline.waiting = undefined
  waiting?.(expired)
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

// A simple reference implementation of the gate.
class SimpleGate {
  readonly running: Entered[] = []
  readonly queue: Entered[] = []
  readonly #limits: GateLimits
  readonly #bytesMax: number

  constructor(limits: GateLimits, bytesMax: number) {
    this.#limits = limits
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return sum([...this.running, ...this.queue])
  }

  stateOf(bytes: number): string {
    if (this.bytes + bytes > this.#bytesMax) return 'refused'
    if (this.running.length < this.#limits.concurrency) return 'runs'
    const isFull =
      this.queue.length >= this.#limits.queueDepthMax || sum(this.queue) + bytes > this.#limits.queueBytesMax
    return isFull ? 'refused' : 'waits'
  }

  entered(request: Entered): void {
    if (request.state === 'runs') this.running.push(request)
    if (request.state === 'waits') this.queue.push(request)
  }

  left(index: number): void {
    this.running.splice(index, 1)
    const next = this.queue.shift()
    if (next !== undefined) this.running.push(next)
  }
}

const sum = (requests: readonly Entered[]): number => requests.reduce((total, { bytes }) => total + bytes, 0)

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('enter' as const), number: fc.nat(50) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('leave' as const), number: fc.nat(100) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('expire' as const), number: fc.nat(100) }) },
)

test('behaves like a simple reference gate for any sequence of arrivals, ends and expiries', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        concurrency: fc.integer({ min: 1, max: 4 }),
        queueDepthMax: fc.nat(5),
        queueBytesMax: fc.nat(200),
      }),
      fc.integer({ min: 1, max: 400 }),
      fc.array(step, { maxLength: 80 }),
      async (bounds, bytesMax, steps) => {
        const limits = { ...bounds, queueWaitMaxMs: 5_000 }
        const { gate, budget } = arrange(limits, bytesMax)
        const simple = new SimpleGate(limits, bytesMax)
        for (const { kind, number } of steps) {
          if (kind === 'enter') {
            const expected = simple.stateOf(number)
            const request = enter(gate, number)
            expect(request.state).toBe(expected)
            simple.entered(request)
          } else if (kind === 'leave' && simple.running.length > 0) {
            const index = number % simple.running.length
            gate.leave(simple.running[index]!.bytes)
            simple.left(index)
          } else if (kind === 'expire' && simple.queue.length > 0) {
            const [request] = simple.queue.splice(number % simple.queue.length, 1)
            expire(request!)
          }
          await settled()
          expect(gate.running).toBe(simple.running.length)
          expect(gate.waiting).toBe(simple.queue.length)
          expect(budget.bytes).toBe(simple.bytes)
          expect(simple.running.every(({ state }) => state === 'runs')).toBe(true)
          expect(simple.queue.every(({ state }) => state === 'waits')).toBe(true)
        }
      },
    ),
  )
})

describe('one model', () => {
  test('includes in the expected wait the requests that have passed the gate but still wait for a call', async () => {
    const calls = { concurrency: 1, waiting: 0 }
    const { gate } = arrange({ concurrency: 4, queueDepthMax: 100, queueWaitMaxMs: 100, calls })
    const clock = vi.spyOn(performance, 'now')
    for (let index = 0; index < 30; index += 1) enter(gate, 1)
    // A turn every 40 ms.
    for (let turn = 0; turn < 24; turn += 1) {
      clock.mockReturnValue(1_000 + 40 * turn)
      gate.leave(1)
    }
    await settled()
    expect([gate.running, gate.waiting]).toEqual([4, 2])
    calls.waiting = 0
    const near = enter(gate, 1, noDeadline(), 'b')
    calls.waiting = 2
    const far = enter(gate, 1, noDeadline(), 'c')
    clock.mockRestore()
    expect([near.state, far.state]).toEqual(['waits', 'refused'])
  })

  test('gives turns in the order of arrival', async () => {
    const { gate } = arrange()
    enter(gate, 1)
    const order: number[] = []
    for (let index = 0; index < 5; index++)
      void gate.enter('a', 1, noDeadline())!.then(() => order.push(index))
    for (let index = 0; index < 5; index++) gate.leave(1)
    await settled()
    expect(order).toEqual([0, 1, 2, 3, 4])
  })

  test('reports the numbers of running and waiting requests when it rejects one', () => {
    const { gate } = arrange({ queueDepthMax: 0 })
    enter(gate, 1)
    expect(() => gate.enter('a', 1, noDeadline())).toThrow(
      'Model "iris" is busy: 1 requests are running and 0 are waiting.',
    )
  })

  test('keeps correct counts when a deadline passes after the request got its turn', async () => {
    const { gate, budget } = arrange()
    enter(gate, 10)
    const second = enter(gate, 5)
    gate.leave(10)
    expire(second)
    await settled()
    expect(second.state).toBe('runs')
    expect([gate.running, gate.waiting, budget.bytes]).toEqual([1, 0, 5])
  })

  test('gives no turn to an expired request, even if its timer is late', async () => {
    const { gate, budget } = arrange()
    expect(() => gate.enter('a', 1, { ...noDeadline(), problem: expired })).toThrow(expired)
    expect([gate.running, budget.bytes]).toEqual([0, 0])
    enter(gate, 1)
    const late = enter(gate, 1, { ...noDeadline(), atMs: performance.now() + 1 })
    const next = enter(gate, 1)
    while (performance.now() <= late.deadline.atMs) continue
    gate.leave(1)
    await settled()
    expect([late.state, next.state]).toEqual(['waits', 'runs'])
    expire(late)
    await settled()
    expect(late.state).toBe('expired')
    expect([gate.running, gate.waiting, budget.bytes]).toEqual([1, 0, 1])
  })

  test('does not accumulate expired waiters behind a hanging call', async () => {
    const { gate, budget } = arrange({ queueDepthMax: 10 })
    enter(gate, 1)
    const first = enter(gate, 1)
    for (let index = 0; index < 2_000; index++) {
      const request = enter(gate, 1)
      expect(request.state).toBe('waits')
      expire(request)
    }
    await settled()
    expect([gate.running, gate.waiting, budget.bytes]).toEqual([1, 1, 2])
    gate.leave(1)
    await settled()
    expect(first.state).toBe('runs')
  })
})

const all = (gate: ModelGate, client: string, count: number, bytes = 1) =>
  Array.from({ length: count }, () => enter(gate, bytes, noDeadline(), client))
const states = (requests: readonly Entered[]) =>
  requests.reduce<Record<string, number>>(
    (counts, { state }) => ({ ...counts, [state]: (counts[state] ?? 0) + 1 }),
    {},
  )

describe('clients', () => {
  test('take turns, however many requests one client has', async () => {
    const { gate } = arrange({ queueDepthMax: 200 })
    enter(gate, 1)
    const loud = all(gate, 'loud', 100)
    const quiet = all(gate, 'quiet', 3)
    for (let index = 0; index < 6; index++) gate.leave(1)
    await settled()
    expect([states(loud)['runs'], states(quiet)['runs']]).toEqual([3, 3])
  })

  test('share the model by bytes, not by requests: a client with large bodies gets fewer turns', async () => {
    const { gate } = arrange({ queueDepthMax: 200 })
    enter(gate, 1)
    const large = all(gate, 'large', 20, 40_000)
    const small = all(gate, 'small', 100, 1)
    for (let index = 0; index < 60; index++) gate.leave(1)
    await settled()
    expect(states(large)['runs']).toBeGreaterThanOrEqual(4)
    expect(states(large)['runs']).toBeLessThanOrEqual(8)
    expect(states(small)['runs']! + states(large)['runs']!).toBe(60)
  })

  test('get their share of a full queue: the newest request of the client with the most requests is rejected', async () => {
    const { gate, budget } = arrange({ queueDepthMax: 10 })
    enter(gate, 1)
    const loud = all(gate, 'loud', 10)
    const quiet = all(gate, 'quiet', 6)
    await settled()
    expect(states(quiet)).toEqual({ waits: 5, refused: 1 })
    expect(states(loud)).toEqual({ waits: 5, expired: 5 })
    expect(loud.slice(0, 5).every(({ state }) => state === 'waits')).toBe(true)
    expect([gate.waiting, budget.bytes]).toEqual([10, 11])
  })

  test('get their share of the bytes in a full queue', async () => {
    const { gate } = arrange({ queueDepthMax: 100, queueBytesMax: 100 })
    enter(gate, 1)
    const loud = all(gate, 'loud', 5, 20)
    const quiet = all(gate, 'quiet', 3, 25)
    await settled()
    expect(states(quiet)).toEqual({ waits: 2, refused: 1 })
    expect(states(loud)).toEqual({ waits: 2, expired: 3 })
  })

  test('get room in an exhausted byte budget at the expense of a client with more waiting bytes', async () => {
    const { gate, budget } = arrange({ queueDepthMax: 100 }, 100)
    enter(gate, 10)
    const loud = all(gate, 'loud', 9, 10)
    const quiet = all(gate, 'quiet', 5, 10)
    await settled()
    expect(states(quiet)).toEqual({ waits: 4, refused: 1 })
    expect(states(loud)).toEqual({ waits: 5, expired: 4 })
    expect(budget.bytes).toBe(100)
  })

  test('keep all their waiting requests if a new request is rejected', async () => {
    const { gate } = arrange({ queueDepthMax: 3, queueBytesMax: 100 })
    enter(gate, 1)
    const loud = all(gate, 'loud', 3, 30)
    expect(all(gate, 'quiet', 1, 60)[0]!.state).toBe('refused')
    await settled()
    expect(states(loud)).toEqual({ waits: 3 })
  })

  test('get nearly all their requests served even if another client sends over 100 times as many', async () => {
    const { gate } = arrange({ concurrency: 4, queueDepthMax: 200 })
    const quiet: Entered[] = []
    let random = 1
    for (let round = 0; round < 2_000; round++) {
      all(gate, 'loud', 5)
      random = (random * 48_271) % 0x7fff_ffff
      quiet.push(...all(gate, `quiet-${random % 99}`, 1))
      for (let index = 0; index < 4; index++) gate.leave(1)
      await Promise.resolve()
    }
    await settled()
    const { runs = 0, waits = 0 } = states(quiet)
    expect(runs / (quiet.length - waits)).toBeGreaterThan(0.95)
  })
})

// Simulates a model whose calls take `callMs`; `perCall` requests arrive during each call.
async function load(
  gate: ModelGate,
  { callMs, calls, perCall }: Record<'callMs' | 'calls' | 'perCall', number>,
) {
  const waits: number[] = []
  let refused = 0
  enter(gate, 1)
  for (let call = 0; call < calls; call++) {
    for (let index = 0; index < perCall; index++) {
      const cameAtMs = performance.now()
      try {
        const turn = gate.enter('a', 1, noDeadline())
        void turn?.then(() => waits.push(performance.now() - cameAtMs))
      } catch {
        refused += 1
      }
    }
    vi.advanceTimersByTime(callMs)
    gate.leave(1)
    await Promise.resolve()
  }
  return { waits, refused }
}

describe('the wait', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['performance', 'Date'] }))
  afterEach(() => void vi.useRealTimers())

  test('is bounded under a sustained load, and the model is never idle', async () => {
    const { gate } = arrange({ queueDepthMax: 4_096, queueWaitMaxMs: 1_000 })
    const { waits, refused } = await load(gate, { callMs: 10, calls: 3_000, perCall: 10 })
    expect(waits.length).toBe(3_000)
    expect(refused).toBeGreaterThan(20_000)
    // Requests that arrived before the pace was known may wait without a limit.
    expect(Math.max(...waits.slice(1_000))).toBeLessThanOrEqual(1_010)
    expect(Math.min(...waits.slice(1_000))).toBeGreaterThan(500)
  })

  test('is not bounded in a short burst, and no request is refused', async () => {
    const { gate } = arrange({ queueDepthMax: 4_096, queueWaitMaxMs: 1_000 })
    for (let burst = 0; burst < 3; burst++) {
      expect(states(all(gate, 'a', 300))['refused']).toBe(undefined)
      for (let index = 0; index < 300; index++) {
        vi.advanceTimersByTime(10)
        gate.leave(1)
        await Promise.resolve()
      }
      expect(gate.waiting).toBe(0)
    }
  })

  test('may exceed queueWaitMaxMs behind slow calls, because a short queue is always allowed', async () => {
    const { gate } = arrange({ queueDepthMax: 4_096, queueWaitMaxMs: 1_000 })
    const { waits } = await load(gate, { callMs: 20_000, calls: 20, perCall: 3 })
    expect(waits.length).toBe(20)
    expect(Math.max(...waits.slice(10))).toBeLessThanOrEqual(60_000)
  })

  test('causes a rejection at once if it would exceed the deadline', async () => {
    const { gate } = arrange({ queueDepthMax: 4_096 })
    await load(gate, { callMs: 100, calls: 20, perCall: 2 })
    const waiting = gate.waiting
    const deadline = { ...noDeadline(), atMs: performance.now() + 1_000 }
    expect(() => gate.enter('a', 1, deadline)).toThrow(/another one would wait about \d\.\d s/)
    expect(gate.waiting).toBe(waiting)
    expect(gate.enter('a', 1, { ...deadline, atMs: performance.now() + 60_000 })).toBeInstanceOf(Promise)
    // A request of another client may wait, because it gets its turn sooner.
    expect(gate.enter('b', 1, deadline)).toBeInstanceOf(Promise)
  })
})

test('models share one byte budget', () => {
  const budget = new ByteBudget(100)
  const limits = { concurrency: 5, queueDepthMax: 5, queueBytesMax: 1_000, queueWaitMaxMs: 5_000 }
  const one = new ModelGate('one', limits, budget)
  const two = new ModelGate('two', limits, budget)
  expect(enter(one, 80).state).toBe('runs')
  expect(enter(two, 30).state).toBe('refused')
  expect(enter(two, 20).state).toBe('runs')
  one.leave(80)
  expect(enter(two, 80).state).toBe('runs')
})

test('a raised limit admits the waiting requests when a turn ends, before any other request', () => {
  const limits = { concurrency: 1, queueDepthMax: 10, queueBytesMax: 1_000, queueWaitMaxMs: 5_000 }
  const gate = new ModelGate('iris', limits, new ByteBudget(1_000))
  const requests = [1, 2, 3, 4].map((bytes) => enter(gate, bytes))
  limits.concurrency = 3
  requests.push(enter(gate, 5))
  expect([gate.running, gate.waiting]).toEqual([1, 4])
  gate.leave(1)
  expect([gate.running, gate.waiting]).toEqual([3, 1])
  limits.concurrency = 1
  gate.leave(2)
  gate.leave(3)
  expect([gate.running, gate.waiting]).toEqual([1, 1])
})
