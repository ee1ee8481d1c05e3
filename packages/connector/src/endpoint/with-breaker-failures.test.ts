// Tests which outcomes of a call count as failures of the server.
import { Problem } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { BreakerRig, failure, REFUSED, TIMED_OUT } from './testing/breaker-rig.ts'

const DAY_MS = 86_400_000

let rig: BreakerRig
beforeEach(() => {
  vi.useFakeTimers()
  rig = new BreakerRig()
})
afterEach(() => void vi.useRealTimers())

test.each<[string, Error]>([
  ["a model's own error", new Problem('upstream_error', 'x', { status: 500 })],
  ['a server that is busy', failure('busy')],
  ['a server that is full', failure('rejected')],
  ['a server that loads the model', failure('starting')],
  ['a rejected credential', new Problem('unauthorized_upstream', 'x')],
  ['a cancelled request', new Problem('cancelled', 'x')],
  ['a fault of the connector', new Problem('internal', 'x')],
])('%s does not count as a failure', async (_what, error) => {
  await rig.ask()
  await rig.fail(20, error)
  expect(rig.circuit.state).toBe(0)
})

test("counts long timeouts as failures, but not a client's short deadlines", async () => {
  await rig.ask()
  await rig.fail(1_000, TIMED_OUT, 1)
  await rig.fail(100, TIMED_OUT, 26_900)
  expect(rig.circuit.state).toBe(0)
  await rig.ask()
  await rig.fail(5, TIMED_OUT, 27_000)
  expect(rig.circuit.state).toBe(2)
})

test('counts timeouts of calls that were queued behind hanging calls', async () => {
  await rig.ask()
  const hanging = Array.from({ length: 4 }, () => rig.hang())
  await vi.advanceTimersByTimeAsync(29_000)
  const late = Array.from({ length: 4 }, () => rig.hang())
  await vi.advanceTimersByTimeAsync(1_000)
  for (const each of hanging) await each.end(TIMED_OUT)
  expect(rig.circuit.state).toBe(0)
  await late[0]!.end(TIMED_OUT)
  expect(rig.circuit.state).toBe(2)
})

test('a client with short deadlines does not open the circuit while another client is answered', async () => {
  for (let round = 0; round < 60; round++) {
    const slow = rig.hang()
    await rig.fail(10, TIMED_OUT, 1_000)
    await slow.end()
  }
  expect(rig.circuit.state).toBe(0)
})

test.each<[string, Error, number]>([
  ['timeouts', TIMED_OUT, 30_000],
  ["a gateway's 502, 503 and 504", failure('no-answer'), 10],
])(
  '%s count as failures only while the server is warm, not during a cold start',
  async (_what, error, afterMs) => {
    // The server has never answered, so it may be starting.
    await rig.fail(20, error, afterMs)
    expect(rig.circuit.state).toBe(0)
    // The server answered less than 60 s ago, so it cannot have been scaled to zero.
    await rig.ask()
    await vi.advanceTimersByTimeAsync(59_000)
    await rig.fail(5, error, afterMs)
    expect(rig.circuit.state).toBe(2)
  },
)

test('a server that was idle for a minute counts as cold', async () => {
  await rig.ask()
  await vi.advanceTimersByTimeAsync(60_000)
  await rig.fail(20, TIMED_OUT, 30_000)
  await rig.fail(20, failure('no-answer'))
  expect(rig.circuit.state).toBe(0)
})

test('a server that has only reported that it is starting is not warm', async () => {
  await rig.fail(1, failure('starting'))
  await rig.fail(20, TIMED_OUT, 30_000)
  expect(rig.circuit.state).toBe(0)
})

test('a missing token neither closes an open circuit nor resets the failures', async () => {
  const noToken = new Problem('unauthorized_upstream', 'x')
  await rig.fail(4, REFUSED)
  await rig.fail(1, noToken)
  await rig.fail(1, REFUSED)
  expect(rig.circuit.state).toBe(2)
  await vi.advanceTimersByTimeAsync(DAY_MS)
  await rig.fail(1, noToken)
  expect(rig.circuit.state).toBe(2)
})

test('the time in which calls never reached the server does not count as its silence', async () => {
  await rig.ask()
  for (let second = 0; second < 30; second += 1)
    await rig.fail(1, new Problem('unauthorized_upstream', 'x'), 1_000)
  await rig.fail(10, TIMED_OUT, 100)
  expect(rig.circuit.state).toBe(0)
})

test("a gateway's error never closes an open circuit, warm or not", async () => {
  await rig.openIt()
  await vi.advanceTimersByTimeAsync(DAY_MS)
  await rig.fail(1, failure('no-answer'))
  expect(rig.circuit.state).toBe(2)
})
