import { Problem } from '@inferwire/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Deadline, Delivery, EndpointResponse, Outcome, RequestName } from '../step.ts'
import { AnswerMemory } from './answer-memory.ts'
import { duplicateKey } from './duplicate-key.ts'
import { Duplicates } from './duplicates.ts'
import { Execution, type Requester } from './execution.ts'

const answer = (body: Uint8Array | string): EndpointResponse => ({
  status: 200,
  body: typeof body === 'string' ? Buffer.from(body) : body,
  contentType: 'application/json',
  inferenceHeaderContentLength: undefined,
})
const noDeadline = (): { -readonly [Key in keyof Deadline]: Deadline[Key] } => ({
  atMs: Infinity,
  problem: undefined,
  waiting: undefined,
})
const name = (parts: Partial<RequestName> = {}): RequestName => ({
  client: 'cam7',
  model: 'iris',
  operation: 'infer',
  id: undefined,
  correlationData: Buffer.from('c'),
  ...parts,
})
const requester = (): Requester => ({
  delivery: { qos: 1, dup: false, connection: {}, isLost: false, redelivery: undefined },
  target: { topic: 'infer/reply/cam7/iris/infer' },
  isSuperseded: false,
  takeOver: () => {},
  stop: () => {},
})
const delivery = { packetId: 1, payload: Buffer.from('{}'), dup: false, properties: {} } as Delivery
// Returns keys that all belong to the same bucket: they begin alike, and the bucket depends only on the beginning.
const crowded = (number: number): string => `${'x'.repeat(28)}${String(number).padStart(4, '0')}`
const keyOf = (id: string): string => duplicateKey(name({ id }), delivery)
const arrange = (bytesMax = 100_000, windowMs = 1_000) => new Duplicates({ bytesMax, windowMs })

function ran(duplicates: Duplicates, key: string, outcome: Outcome, nowMs = 0, expirySeconds?: number): void {
  const properties = expirySeconds === undefined ? {} : { messageExpiryInterval: expirySeconds }
  duplicates.ended(duplicates.begin(key, nowMs, { ...delivery, properties }, true), outcome, false, nowMs)
}

const text = (found: Execution | Outcome | undefined): string =>
  found === undefined || found instanceof Execution ? 'none' : Buffer.from(found.body!).toString()

test('lets repeats of a running request wait for its answer, and gives later repeats the same answer', async () => {
  const duplicates = arrange()
  const execution = duplicates.begin(keyOf('k'), 0, delivery, true)
  const waiting = [1, 2].map(() =>
    (duplicates.find(keyOf('k'), 0) as Execution).join(requester(), noDeadline()),
  )
  duplicates.ended(execution, answer('a'), false, 0)
  expect((await Promise.all(waiting)).map(text)).toEqual(['a', 'a'])
  expect(text(duplicates.find(keyOf('k'), 10))).toBe('a')
  expect(duplicates.find(keyOf('other'), 10)).toBeUndefined()
})

test('gives a non-final outcome to the waiting repeats, but executes a repeat that arrives later', async () => {
  const duplicates = arrange()
  const execution = duplicates.begin(keyOf('k'), 0, delivery, true)
  const waiting = (duplicates.find(keyOf('k'), 0) as Execution).join(requester(), noDeadline())
  duplicates.ended(execution, new Problem('overloaded', 'x'), false, 0)
  expect(await waiting).toMatchObject({ code: 'overloaded' })
  expect(duplicates.find(keyOf('k'), 0)).toBeUndefined()
})

test('when the deadline of a waiting repeat passes, only that repeat stops waiting', async () => {
  const duplicates = arrange()
  const execution = duplicates.begin(keyOf('k'), 0, delivery, true)
  const deadline = noDeadline()
  const short = execution.join(requester(), deadline)
  const long = execution.join(requester(), noDeadline())
  deadline.waiting!(new Problem('deadline_exceeded', 'x'))
  await expect(short).rejects.toMatchObject({ code: 'deadline_exceeded' })
  duplicates.ended(execution, answer('a'), false, 0)
  expect(text(await long)).toBe('a')
  await expect(
    execution.join(requester(), { ...noDeadline(), problem: new Problem('cancelled', 'x') }),
  ).rejects.toMatchObject({ code: 'cancelled' })
})

test('remembers an answer until its request expires, or for the configured window if the request has no expiry', () => {
  const duplicates = arrange()
  ran(duplicates, keyOf('short'), answer('a'))
  ran(duplicates, keyOf('long'), answer('a'), 0, 60)
  const isKnown = (id: string, nowMs: number): boolean => duplicates.find(keyOf(id), nowMs) !== undefined
  expect([isKnown('short', 999), isKnown('short', 1_000)]).toEqual([true, false])
  expect([isKnown('long', 59_999), isKnown('long', 60_000)]).toEqual([true, false])
})

test('remembers an answer even if the call took longer than the window, because the window begins at the end of the call', () => {
  const duplicates = arrange(100_000, 1_000)
  duplicates.ended(duplicates.begin(keyOf('slow'), 0, delivery, true), answer('a'), false, 180_000)
  expect(text(duplicates.find(keyOf('slow'), 180_999))).toBe('a')
  expect(duplicates.find(keyOf('slow'), 181_000)).toBeUndefined()
})

test('remembers a non-repeatable request for longer than its answer', () => {
  const duplicates = arrange(2_000)
  const execution = duplicates.begin(keyOf('once'), 0, delivery, true)
  duplicates.ended(execution, answer('a'), false, 0)
  duplicates.keepFact(execution, answer('a'))
  for (let index = 0; index < 40; index++) ran(duplicates, keyOf(`k${index}`), answer('a'))
  expect(duplicates.find(keyOf('once'), 1)).toBeUndefined()
  const again = (id: string, nowMs: number) => () => duplicates.begin(keyOf(id), nowMs, delivery, false)
  for (const nowMs of [0, 999]) {
    expect(again('once', nowMs)).toThrow(expect.objectContaining({ code: 'maybe_executed' }))
  }
  expect(again('once', 1_000)).not.toThrow()
  expect(again('k0', 1)).not.toThrow()
})

test.each([
  ['a server that is loading the model', new Problem('model_not_ready', 'x'), true],
  ['a server that is full', new Problem('overloaded', 'x'), true],
  ['a connection that broke', new Problem('upstream_unreachable', 'x'), false],
  ['an error of the model', new Problem('upstream_error', 'x', { status: 500 }), false],
])(
  'runs a non-repeatable request again only if it never reached the model (outcome: %s)',
  (_what, problem, mayRun) => {
    const duplicates = arrange()
    const execution = duplicates.begin(keyOf('once'), 0, delivery, false)
    duplicates.ended(execution, problem, false, 0)
    duplicates.keepFact(execution, problem)
    const again = (): Execution => duplicates.begin(keyOf('once'), 1, delivery, false)
    if (mayRun) expect(again).not.toThrow()
    else expect(again).toThrow(expect.objectContaining({ code: 'maybe_executed' }))
  },
)

test('does not run a redelivered non-repeatable request', () => {
  const redelivery = { ...delivery, dup: true }
  expect(() => arrange().begin(keyOf('k'), 0, redelivery, false)).toThrow(
    expect.objectContaining({ code: 'maybe_executed' }),
  )
  expect(() => arrange().begin(keyOf('k'), 0, redelivery, true)).not.toThrow()
})

test('does not remember the answer to an operation that reads a changing state', () => {
  const duplicates = arrange()
  duplicates.ended(duplicates.begin(keyOf('ready'), 0, delivery, true), answer('ready'), true, 0)
  expect(duplicates.find(keyOf('ready'), 0)).toBeUndefined()
})

test('sends the last message of a streamed answer to waiting repeats, and does not remember the answer', async () => {
  const duplicates = arrange()
  const execution = duplicates.begin(keyOf('chat'), 0, delivery, true)
  const waiting = execution.join(requester(), noDeadline())
  execution.partsSent = 3
  duplicates.ended(execution, answer('[DONE]'), false, 0)
  expect(text(await waiting)).toBe('[DONE]')
  expect(duplicates.find(keyOf('chat'), 0)).toBeUndefined()
})

test('finds running requests, however many share a hash bucket', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(30)), { maxLength: 80 }), (steps) => {
      const duplicates = arrange(0)
      const running = new Map<string, Execution>()
      for (const [isBegin, number] of steps) {
        const execution = running.get(crowded(number))
        if (isBegin && execution === undefined) {
          running.set(crowded(number), duplicates.begin(crowded(number), 0, delivery, true))
        } else if (!isBegin && execution !== undefined) {
          duplicates.ended(execution, new Problem('overloaded', 'x'), false, 0)
          running.delete(crowded(number))
        }
        for (let other = 0; other <= 30; other++) {
          expect(duplicates.find(crowded(other), 0)).toBe(running.get(crowded(other)))
        }
      }
    }),
    { numRuns: 30 },
  )
})

test('returns the newest outcome of each key unchanged, and never exceeds the size of the memory', () => {
  const outcome = fc.oneof(
    fc.record({
      status: fc.integer({ min: 200, max: 299 }),
      body: fc.uint8Array({ maxLength: 300 }).map((body) => Buffer.from(body)),
      contentType: fc.constantFrom(
        'application/json',
        'text/plain; charset=utf-8',
        'application/octet-stream',
      ),
      inferenceHeaderContentLength: fc.constantFrom(undefined, '7'),
    }),
    fc.tuple(fc.string({ unit: 'grapheme', maxLength: 30 }), fc.option(fc.uint8Array({ maxLength: 50 }))).map(
      ([message, body]) =>
        new Problem('upstream_error', message, {
          status: 500,
          ...(body === null ? {} : { body: Buffer.from(body), contentType: 'text/plain' }),
        }),
    ),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(15), outcome), { maxLength: 150 }), (steps) => {
      const bytesMax = 4_000
      const memory = new AnswerMemory(bytesMax)
      const put: { key: string; outcome: Outcome }[] = []
      for (const [number, next] of steps) {
        const key = keyOf(`${number}`)
        memory.put(key, 10, next)
        put.push({ key, outcome: next })
        expect(memory.used).toBeLessThanOrEqual(bytesMax)
        // An outcome that is found is the newest one stored under its key. The key that was stored last is always found.
        for (let other = 0; other <= 15; other++) {
          const found = memory.find(keyOf(`${other}`), 0)
          const newest = put.findLast((entry) => entry.key === keyOf(`${other}`))
          if (found !== undefined) expect(plain(found)).toEqual(plain(newest!.outcome))
        }
        expect(plain(memory.find(key, 0)!)).toEqual(plain(next))
        expect(memory.find(key, 10)).toBeUndefined()
        expect(memory.count).toBeLessThanOrEqual(put.length)
      }
    }),
    { numRuns: 60 },
  )
})

function plain(outcome: Outcome): unknown {
  const { body, contentType, status } = outcome
  const rest = outcome instanceof Problem ? { code: outcome.code, message: outcome.message } : outcome
  return {
    ...rest,
    status,
    contentType,
    body: body === undefined ? undefined : Buffer.from(body).toString('hex'),
  }
}

test('does not keep an answer that would fill most of the memory, and keeps nothing if the size of the memory is 0', () => {
  const duplicates = arrange(10_000)
  ran(duplicates, keyOf('small'), answer('a'))
  ran(duplicates, keyOf('large'), answer(Buffer.alloc(5_000)))
  expect(duplicates.find(keyOf('large'), 0)).toBeUndefined()
  expect(text(duplicates.find(keyOf('small'), 0))).toBe('a')
  const none = arrange(0)
  ran(none, keyOf('k'), answer('a'))
  expect(none.find(keyOf('k'), 0)).toBeUndefined()
  expect(none.bytes).toBe(0)
})

test('treats requests as the same only if client, model, operation, id, Correlation Data and body are equal', () => {
  const keys = [
    duplicateKey(name(), delivery),
    duplicateKey(name({ client: 'cam8' }), delivery),
    duplicateKey(name({ client: 'cam\u00e9' }), delivery),
    duplicateKey(name({ model: 'digits' }), delivery),
    duplicateKey(name({ operation: 'predict' }), delivery),
    duplicateKey(name({ correlationData: Buffer.from('d') }), delivery),
    duplicateKey(name({ correlationData: Buffer.from('') }), delivery),
    duplicateKey(name({ correlationData: Buffer.alloc(60_000) }), delivery),
    duplicateKey(name({ correlationData: undefined, id: 'c' }), delivery),
    duplicateKey(name({ id: 'c' }), delivery),
    duplicateKey(name(), { ...delivery, payload: Buffer.from('[]') }),
    duplicateKey(name({ correlationData: Buffer.from('c{') }), { ...delivery, payload: Buffer.from('}') }),
    duplicateKey(name(), { ...delivery, payload: Buffer.alloc(20_000, 1) }),
    duplicateKey(name(), { ...delivery, payload: Buffer.alloc(20_000, 2) }),
    duplicateKey(name(), { ...delivery, payload: Buffer.alloc(20_001, 1) }),
  ]
  expect(new Set(keys).size).toBe(keys.length)
  expect(new Set(keys.map((key) => key.length))).toEqual(new Set([32]))
  expect(duplicateKey(name(), { ...delivery, packetId: 9 })).toBe(keys[0])
})

test('identifies a request that has neither an id nor Correlation Data by its Packet Identifier', () => {
  const nameless = name({ correlationData: undefined })
  const key = duplicateKey(nameless, delivery)
  expect(duplicateKey(nameless, { ...delivery })).toBe(key)
  expect(duplicateKey(nameless, { ...delivery, packetId: 2 })).not.toBe(key)
})

test.each([
  ['a model that is not ready', new Problem('model_not_ready', 'x')],
  ["a server's 404", new Problem('upstream_error', 'x', { status: 404 })],
  ['a refused credential', new Problem('unauthorized_upstream', 'x')],
  ['a web page instead of an answer', new Problem('upstream_invalid_response', 'x')],
  ['a cancelled request', new Problem('cancelled', 'x')],
])('does not remember the outcome "%s": a repeat runs again', (_what, problem) => {
  const duplicates = arrange()
  ran(duplicates, keyOf('k'), problem)
  expect(duplicates.find(keyOf('k'), 0)).toBeUndefined()
})

test.each([
  ['a problem of the request itself', new Problem('upstream_error', 'x', { status: 400 })],
  ['an answer that is too large', new Problem('response_too_large', 'x')],
])('remembers the outcome "%s"', (_what, problem) => {
  const duplicates = arrange()
  ran(duplicates, keyOf('k'), problem)
  expect(duplicates.find(keyOf('k'), 0)).toMatchObject({ code: problem.code })
})

test('returns the problem instead of an answer that could not be delivered', () => {
  const duplicates = arrange()
  const execution = duplicates.begin(keyOf('k'), 0, delivery, true)
  duplicates.ended(execution, answer('large'), false, 0)
  duplicates.correct(execution, new Problem('response_too_large', 'The broker takes less.'))
  expect(duplicates.find(keyOf('k'), 10)).toMatchObject({ code: 'response_too_large' })
})
