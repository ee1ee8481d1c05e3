import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { RequestName } from '../step.ts'
import { Clients, RunningRequest, type ClientBounds } from './clients.ts'
import { RequestDeadline } from './deadline.ts'

const bytes = (text: string): Buffer => Buffer.from(text)
const name = (parts: Partial<RequestName> = {}): RequestName => ({
  client: 'cam7',
  model: 'iris',
  operation: 'infer',
  id: undefined,
  correlationData: undefined,
  ...parts,
})

// Creates a request that calls `stopped` when it is stopped. The timer of its deadline is not used.
function request(parts: Partial<RequestName>, stopped: (code: string) => void = () => {}): RunningRequest {
  const deadline = new RequestDeadline(0, 0, 0)
  deadline.problem = undefined
  deadline.waiting = ({ code }) => stopped(code)
  const { model, operation, correlationData, ...topic } = name(parts)
  return new RunningRequest(topic, model, operation, correlationData, deadline)
}

function arrange(bounds: ClientBounds = { inFlightMax: 100 }) {
  const clients = new Clients(bounds)
  const stopped: string[] = []
  const add = (label: string, parts: Partial<RequestName>) => {
    const running = request(parts, (code) => stopped.push(`${label} ${code}`))
    clients.enter(running, 0)
    return running
  }
  return { clients, stopped, add }
}

test("admits a redelivered request above the client's limit, because it was admitted before", () => {
  const clients = new Clients({ inFlightMax: 1, requestsPerSecond: 1 })
  clients.enter(request({}), 0)
  expect(() => clients.enter(request({}), 10_000)).toThrow('1 requests in flight')
  clients.enter(request({}), 0, true)
})

test('cancels only requests of the same client, model and operation that have the same id or Correlation Data', () => {
  const { clients, stopped, add } = arrange()
  add('by id', { id: '7' })
  add('by correlation', { correlationData: bytes('7') })
  add('other client', { client: 'cam8', id: '7', correlationData: bytes('7') })
  add('other model', { model: 'digits', id: '7' })
  add('other operation', { operation: 'predict', id: '7' })
  add('nameless', {})
  expect(clients.cancel(name({ id: '7' }))).toBe(1)
  expect(clients.cancel(name({ correlationData: bytes('7') }))).toBe(1)
  expect(stopped).toEqual(['by id cancelled', 'by correlation cancelled'])
  expect(clients.cancel(name())).toBe(0)
})

test('cancels only requests that match both the id and the Correlation Data, if the cancel message has both', () => {
  const { clients, stopped, add } = arrange()
  add('both', { id: '7', correlationData: bytes('x') })
  add('same id', { id: '7', correlationData: bytes('y') })
  expect(clients.cancel(name({ id: '7', correlationData: bytes('x') }))).toBe(1)
  expect(clients.cancel(name({ id: '8', correlationData: bytes('x') }))).toBe(0)
  expect(stopped).toEqual(['both cancelled'])
})

test('compares binary Correlation Data byte by byte', () => {
  const { clients, add } = arrange()
  add('one', { correlationData: Uint8Array.of(0, 255, 10) })
  expect(clients.cancel(name({ correlationData: Uint8Array.of(0, 255, 11) }))).toBe(0)
  expect(clients.cancel(name({ correlationData: Uint8Array.of(0, 255, 10) }))).toBe(1)
})

test('does not find ended requests, in whatever order requests start and end', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(20)), { maxLength: 60 }), (steps) => {
      const { clients, add } = arrange()
      const running: { id: string; request: RunningRequest }[] = []
      for (const [isEnter, number] of steps) {
        if (isEnter || running.length === 0) {
          running.push({ id: `${number}`, request: add('', { id: `${number}` }) })
        } else {
          const [ended] = running.splice(number % running.length, 1)
          clients.leave(ended!.request)
        }
        const expected = running.filter(({ id }) => id === `${number}`).length
        expect(clients.cancel(name({ id: `${number}` }))).toBe(expected)
      }
    }),
  )
})

test('limits the requests in flight of a client without affecting other clients', () => {
  const { clients, add } = arrange({ inFlightMax: 2 })
  const first = add('', {})
  add('', {})
  expect(() => add('', {})).toThrow(
    expect.objectContaining({ code: 'overloaded', retryAfterMs: 500 }) as Error,
  )
  add('', { client: 'other' })
  clients.leave(first)
  add('', {})
})

test("admits a burst of one second's requests, then requests at the configured rate, and suggests when to retry", () => {
  const clients = new Clients({ inFlightMax: 100, requestsPerSecond: 10 })
  const ask = (nowMs: number): string => {
    const running = request({})
    try {
      clients.enter(running, nowMs)
      clients.leave(running)
      return 'ok'
    } catch (error) {
      return String((error as { retryAfterMs?: number }).retryAfterMs)
    }
  }
  expect(Array.from({ length: 12 }, () => ask(0))).toEqual([...Array<string>(10).fill('ok'), '100', '100'])
  expect([ask(50), ask(100), ask(100)]).toEqual(['50', 'ok', '100'])
  expect(Array.from({ length: 11 }, () => ask(60_000)).filter((answer) => answer === 'ok')).toHaveLength(10)
})

test('still admits requests if the configured rate is below one per second', () => {
  const clients = new Clients({ inFlightMax: 100, requestsPerSecond: 0.5 })
  clients.enter(request({}), 0)
  expect(() => clients.enter(request({}), 1_000)).toThrow('limit of 0.5 requests per second')
  clients.enter(request({}), 2_000)
})

test('does not keep a flood of client names in memory', () => {
  const clients = new Clients({ inFlightMax: 100, requestsPerSecond: 10 })
  for (let index = 0; index < 50_000; index++) {
    const running = request({ client: `client-${index}` })
    clients.enter(running, 0)
    clients.leave(running)
  }
  expect(clients.size).toBeLessThanOrEqual(10_000)
})
