// Tests how long requests may wait at a model's gate.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ModelGate } from './model-gate.ts'
import { all, arrange, enter, noDeadline, states } from './testing/gate-arrangement.ts'

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
