// Tests the circuit breaker with streamed answers.
import { Problem } from '@inferwire/protocol'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Endpoint, EndpointRequest } from '../step.ts'
import { ANSWER, BreakerRig, REFUSED, TIMED_OUT } from './testing/breaker-rig.ts'
import { withBreaker } from './with-breaker.ts'

let rig: BreakerRig
beforeEach(() => {
  vi.useFakeTimers()
  rig = new BreakerRig()
})
afterEach(() => void vi.useRealTimers())

test('a stream that ends early after its first part is not a failure, and its first part counts as an answer', async () => {
  await rig.ask()
  const early = (error: Problem): Promise<unknown> => {
    rig.server = undefined
    const streaming: Endpoint = {
      call: (request) => {
        request.emit!({ body: Buffer.from('{}'), contentType: 'application/json' })
        return new Promise((_resolve, reject) => {
          setTimeout(() => reject(error), 30_000)
        })
      },
    }
    const request = { emit: () => {} } as unknown as EndpointRequest
    return withBreaker(streaming, rig.circuit)
      .call(request)
      .catch((reason: unknown) => reason)
  }
  const outcomes = Array.from({ length: 10 }, () => early(TIMED_OUT))
  await vi.advanceTimersByTimeAsync(30_000)
  expect(await Promise.all(outcomes)).toEqual(Array.from({ length: 10 }, () => TIMED_OUT))
  expect(rig.circuit.state).toBe(0)
})

test('a stream that fails before its first part counts as a failure', async () => {
  const failing: Endpoint = { call: () => Promise.reject(REFUSED) }
  const request = { emit: () => {} } as unknown as EndpointRequest
  for (let count = 0; count < 5; count++) {
    await withBreaker(failing, rig.circuit)
      .call(request)
      .catch(() => undefined)
  }
  expect(rig.circuit.state).toBe(2)
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
  withBreaker(inner, rig.circuit)
    .call({ emit: () => {} } as unknown as EndpointRequest)
    .catch((error: unknown) => error)

describe('streams', () => {
  test('the first part of a probe closes the circuit, before the stream ends', async () => {
    await rig.openIt()
    await vi.advanceTimersByTimeAsync(1_000)
    const probe = askFor(stream(60_000))
    expect(rig.circuit.state).toBe(0)
    await vi.advanceTimersByTimeAsync(60_000)
    expect([await probe, rig.circuit.state]).toEqual([ANSWER, 0])
  })

  test.each([TIMED_OUT, new Problem('cancelled', 'x'), REFUSED])(
    'the end of a probe after its first part does not matter (%s)',
    async (error) => {
      await rig.openIt()
      await vi.advanceTimersByTimeAsync(1_000)
      const probe = askFor(stream(30_000, error))
      await vi.advanceTimersByTimeAsync(30_000)
      expect([await probe, rig.circuit.state]).toEqual([error, 0])
    },
  )

  test('a probe that fails before its first part leaves the circuit open', async () => {
    await rig.openIt()
    await vi.advanceTimersByTimeAsync(1_000)
    await askFor({ call: () => Promise.reject(REFUSED) })
    expect(rig.circuit.state).toBe(2)
  })

  test('the idle time after a stream does not count as time without an answer', async () => {
    const first = askFor(stream(1_000))
    await vi.advanceTimersByTimeAsync(1_000)
    await first
    await vi.advanceTimersByTimeAsync(30_000)
    for (let count = 0; count < 5; count++) await rig.fail(1, TIMED_OUT, 100)
    expect(rig.circuit.state).toBe(0)
  })
})
