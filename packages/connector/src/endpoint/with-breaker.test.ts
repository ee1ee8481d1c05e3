// Tests when a circuit opens, admits probes and closes. The clock is fake; the server is a list of outcomes.
import { Problem } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Circuit } from './circuit.ts'
import { ANSWER, BreakerRig, failure, REFUSED, TIMED_OUT } from './testing/breaker-rig.ts'

let rig: BreakerRig
beforeEach(() => {
  vi.useFakeTimers()
  rig = new BreakerRig()
})
afterEach(() => void vi.useRealTimers())

test('consecutive failures open the circuit, which is logged once', async () => {
  await rig.fail(4, REFUSED)
  expect(rig.circuit.state).toBe(0)
  await rig.fail(20, REFUSED)
  expect(rig.circuit.state).toBe(2)
  expect(rig.figures.circuitOpens).toBe(1)
  expect(rig.lines).toHaveLength(1)
  expect(rig.lines[0]).toMatchObject({
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
  await rig.fail(4, REFUSED)
  await rig.ask()
  await rig.fail(4, REFUSED)
  expect(rig.circuit.state).toBe(0)
})

test('an open circuit rejects requests at once, and the problem contains the time to wait before a retry', async () => {
  await rig.openIt()
  const asked = rig.calls
  const problem = await rig.ask()
  expect(problem).toMatchObject({ code: 'circuit_open', status: 503, retryable: true, retryAfterMs: 200 })
  expect(rig.calls).toBe(asked)
})

test('after the wait, exactly one request probes the server', async () => {
  await rig.openIt()
  await vi.advanceTimersByTimeAsync(199)
  expect(await rig.ask()).toMatchObject({ code: 'circuit_open', retryAfterMs: 1 })
  await vi.advanceTimersByTimeAsync(1)
  const asked = rig.calls
  const probe = rig.hang()
  expect(rig.circuit.state).toBe(1)
  expect(await rig.ask()).toMatchObject({ code: 'circuit_open' })
  expect(rig.calls).toBe(asked + 1)
  expect(await probe.end()).toBe(ANSWER)
  expect(rig.circuit.state).toBe(0)
  expect(await rig.ask()).toBe(ANSWER)
  expect(rig.lines.map(({ event, level }) => [event, level])).toEqual([
    ['circuit_opened', 'warn'],
    ['circuit_closed', 'info'],
  ])
  expect(rig.lines[1]).toMatchObject({ model: 'iris', url: 'http://iris/', openForMs: 200 })
})

test('each failed probe doubles the wait, up to the maximum', async () => {
  await rig.openIt()
  for (const waitMs of [200, 400, 800, 1_000, 1_000]) {
    await vi.advanceTimersByTimeAsync(waitMs - 1)
    expect(await rig.ask()).toMatchObject({ code: 'circuit_open' })
    await vi.advanceTimersByTimeAsync(1)
    const asked = rig.calls
    await rig.fail(1, REFUSED)
    expect(rig.calls).toBe(asked + 1)
    expect(rig.circuit.state).toBe(2)
  }
  expect(rig.figures.circuitOpens).toBe(1)
  expect(rig.lines).toHaveLength(1)
})

test('jitter shortens a wait by at most half', async () => {
  rig = new BreakerRig({ random: () => 0 })
  await rig.openIt()
  expect(await rig.ask()).toMatchObject({ retryAfterMs: 100 })
})

test('a hanging probe delays the next probe by at most the maximum wait', async () => {
  await rig.openIt()
  await vi.advanceTimersByTimeAsync(200)
  const first = rig.hang()
  await vi.advanceTimersByTimeAsync(999)
  expect(await rig.ask()).toMatchObject({ code: 'circuit_open' })
  await vi.advanceTimersByTimeAsync(1)
  expect(await rig.ask()).toBe(ANSWER)
  expect(rig.circuit.state).toBe(0)
  await first.end(REFUSED)
  await rig.fail(4, REFUSED)
  expect(rig.circuit.state).toBe(0)
})

test('limits the number of hanging probes', async () => {
  rig = new BreakerRig({ probesMax: 2 })
  await rig.openIt()
  await vi.advanceTimersByTimeAsync(200)
  const first = rig.hang()
  await vi.advanceTimersByTimeAsync(1_000)
  rig.hang()
  await vi.advanceTimersByTimeAsync(5_000)
  expect(rig.endpoint.refusal!()).toMatchObject({ code: 'circuit_open', retryAfterMs: 200 })
  expect(await rig.ask()).toMatchObject({ code: 'circuit_open' })
  await first.end(TIMED_OUT)
  expect(rig.endpoint.refusal!()).toBe(undefined)
  expect(await rig.ask()).toBe(ANSWER)
  expect(rig.circuit.state).toBe(0)
})

test('a call that began before the circuit opened neither closes nor reopens it', async () => {
  const good = rig.hang()
  const bad = Array.from({ length: 5 }, () => rig.hang())
  await rig.openIt()
  expect(await good.end()).toBe(ANSWER)
  expect(rig.circuit.state).toBe(2)
  await vi.advanceTimersByTimeAsync(200)
  await rig.ask()
  expect(rig.circuit.state).toBe(0)
  for (const each of bad) await each.end(REFUSED)
  expect(rig.circuit.state).toBe(0)
})

test("a model's own error closes the circuit, because it proves that the server responds", async () => {
  await rig.openIt()
  await vi.advanceTimersByTimeAsync(200)
  await rig.fail(1, new Problem('upstream_error', 'x', { status: 400 }))
  expect(rig.circuit.state).toBe(0)
})

test('after a cancelled probe, the next request is a probe', async () => {
  await rig.openIt()
  await vi.advanceTimersByTimeAsync(200)
  const probe = rig.hang()
  await probe.end(new Problem('cancelled', 'x'))
  expect(rig.circuit.state).toBe(2)
  expect(await rig.ask()).toBe(ANSWER)
  expect(rig.circuit.state).toBe(0)
})

test('with failuresMax 0, the circuit never opens', async () => {
  rig = new BreakerRig({ failuresMax: 0 })
  await rig.fail(100, REFUSED)
  expect(rig.circuit.state).toBe(0)
})

test('the circuit uses no timer, and disappears from the figures when its model is removed', async () => {
  await rig.openIt()
  expect(vi.getTimerCount()).toBe(0)
  const successor = new Circuit(rig.options)
  successor.begin()
  rig.circuit.end()
  expect(rig.figures.circuit).toBe(successor)
  successor.end()
  expect(rig.figures.circuit).toBeUndefined()
  // Requests that were queued at the model's gate are still sent, but their results no longer change or log anything.
  const known = rig.lines.length
  await rig.fail(20, REFUSED)
  expect([rig.circuit.state, rig.lines.length]).toEqual([0, known])
})

test('reports only the first answer after each failure or call of expectAnswer', async () => {
  const returns: string[] = []
  rig.circuit.onReturn = () => returns.push('return')
  await rig.ask()
  await rig.fail(1, failure('busy'))
  await rig.ask()
  expect(returns).toEqual([])
  await rig.fail(2, failure('starting'))
  expect(returns).toEqual([])
  await rig.ask()
  await rig.ask()
  expect(returns).toHaveLength(1)
  rig.circuit.expectAnswer()
  await rig.ask()
  await rig.ask()
  expect(returns).toHaveLength(2)
})

test('reports that the server is back when the circuit closes, unless the model was removed', async () => {
  let returns = 0
  rig.circuit.onReturn = () => (returns += 1)
  await rig.openIt()
  await vi.advanceTimersByTimeAsync(1_000)
  await rig.ask()
  expect([rig.circuit.state, returns]).toEqual([0, 1])
  await rig.fail(1, REFUSED)
  rig.circuit.end()
  await rig.ask()
  expect(returns).toBe(1)
})
