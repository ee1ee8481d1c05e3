// Tests which requests may pass a model's gate, and in which order.
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { ByteBudget } from './byte-budget.ts'
import { ModelGate, type GateLimits } from './model-gate.ts'
import { arrange, enter, expired, noDeadline, settled, type Entered } from './testing/gate-arrangement.ts'

function expire({ deadline }: Entered): void {
  deadline.problem = expired
  const { waiting } = deadline
  deadline.waiting = undefined
  waiting?.(expired)
}

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
