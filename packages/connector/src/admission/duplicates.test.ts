import { Problem } from '@inferwire/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Deadline, EndpointResponse } from '../step.ts'
import { DuplicateKey } from './duplicate-key.ts'
import { Duplicates, type Outcome } from './duplicates.ts'
import type { RequestName } from './running-requests.ts'

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
const arrange = (bytesMax = 100_000, windowMs = 1_000) => new Duplicates({ bytesMax, windowMs })

function ran(duplicates: Duplicates, key: string, outcome: Outcome, nowMs = 0, expirySeconds?: number) {
  const execution = duplicates.begin(key, nowMs, expirySeconds)
  duplicates.remember(key, execution, outcome, nowMs, false)
}

test('whoever repeats a running request waits for it, and whoever comes later gets the same answer', async () => {
  const duplicates = arrange()
  const execution = duplicates.begin('k', 0, undefined)
  const waiting = [1, 2].map(() => duplicates.find('k', 0)!.wait(noDeadline()))
  duplicates.remember('k', execution, answer('a'), 5, false)
  expect((await Promise.all(waiting)).map((outcome) => String(outcome.body))).toEqual(['a', 'a'])
  expect(String(duplicates.find('k', 10)!.outcome!.body)).toBe('a')
  expect(duplicates.find('other', 10)).toBeUndefined()
})

test('without a final outcome those who wait get it, and the next one runs again', async () => {
  const duplicates = arrange()
  const execution = duplicates.begin('k', 0, undefined)
  const waiting = duplicates.find('k', 0)!.wait(noDeadline())
  duplicates.forget('k', execution, new Problem('overloaded', 'x'), false)
  expect(await waiting).toMatchObject({ code: 'overloaded' })
  expect(duplicates.find('k', 0)).toBeUndefined()
})

test('the deadline of one who waits ends its wait and nothing else', async () => {
  const duplicates = arrange()
  const execution = duplicates.begin('k', 0, undefined)
  const deadline = noDeadline()
  const short = execution.wait(deadline)
  const long = execution.wait(noDeadline())
  deadline.waiting!(new Problem('deadline_exceeded', 'x'))
  await expect(short).rejects.toMatchObject({ code: 'deadline_exceeded' })
  duplicates.remember('k', execution, answer('a'), 0, false)
  expect(String((await long).body)).toBe('a')
  await expect(
    execution.wait({ ...noDeadline(), problem: new Problem('cancelled', 'x') }),
  ).rejects.toMatchObject({ code: 'cancelled' })
})

test('the window is what the request had left to live, else the configured one', () => {
  const duplicates = arrange()
  ran(duplicates, 'short', answer('a'))
  ran(duplicates, 'long', answer('a'), 0, 60)
  expect([999, 1_000].map((nowMs) => duplicates.find('short', nowMs) !== undefined)).toEqual([true, false])
  expect([59_999, 60_000].map((nowMs) => duplicates.find('long', nowMs) !== undefined)).toEqual([true, false])
  ran(duplicates, 'next', answer('a'), 60_000)
  expect(duplicates.remembered).toBe(1)
})

test('a fact outlives its answer: a request that must not run twice is known although its answer is forgotten', () => {
  const duplicates = arrange(2_000)
  const execution = duplicates.begin('once', 0, undefined)
  duplicates.remember('once', execution, answer('a'), 0, true)
  for (let index = 0; index < 20; index++) ran(duplicates, `k${index}`, answer('a'))
  expect(duplicates.find('once', 1)).toBeUndefined()
  expect([duplicates.wasExecuted('once', 1), duplicates.wasExecuted('once', 1_000)]).toEqual([true, false])
  expect(duplicates.wasExecuted('k0', 1)).toBe(false)
  duplicates.forget('failed', duplicates.begin('failed', 0, undefined), new Problem('internal', 'x'), true)
  expect(duplicates.wasExecuted('failed', 1)).toBe(true)
})

test('the bytes are bounded: the oldest answers go first, and one that is too large is not kept', () => {
  const bytesMax = 10_000
  const duplicates = arrange(bytesMax)
  ran(duplicates, 'large', answer(Buffer.alloc(bytesMax)))
  expect(duplicates.find('large', 0)).toBeUndefined()
  for (let index = 0; index < 100; index++) {
    ran(duplicates, `k${index}`, answer(Buffer.alloc(500)))
    expect(duplicates.bytes).toBeLessThanOrEqual(bytesMax)
  }
  expect([duplicates.find('k0', 0), duplicates.find('k99', 0)?.outcome?.body?.length]).toEqual([
    undefined,
    500,
  ])
})

test('a small answer does not keep the large buffer alive that it came in', () => {
  const duplicates = arrange()
  const chunk = Buffer.alloc(65_536)
  ran(duplicates, 'k', answer(chunk.subarray(100, 200)))
  expect(duplicates.find('k', 0)!.outcome!.body!.buffer).not.toBe(chunk.buffer)
})

test('the bytes are those of what is remembered, whatever happens', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(20), fc.nat(2_000), fc.nat(3), fc.boolean())), (steps) => {
      const duplicates = arrange(5_000)
      let nowMs = 0
      for (const [key, size, seconds, isFinal] of steps) {
        nowMs += size
        const execution = duplicates.begin(`k${key}`, nowMs, seconds)
        if (isFinal) duplicates.remember(`k${key}`, execution, answer(Buffer.alloc(size)), nowMs, false)
        else duplicates.forget(`k${key}`, execution, new Problem('overloaded', 'x'), false)
        expect(duplicates.bytes).toBeLessThanOrEqual(5_000)
        if (duplicates.remembered === 0) expect(duplicates.bytes).toBe(0)
      }
      ran(duplicates, 'end', answer(''), nowMs + 10_000)
      expect(duplicates.remembered).toBe(1)
      expect(duplicates.bytes).toBe(250 + 3)
    }),
  )
})

const name = (parts: Partial<RequestName> = {}): RequestName => ({
  client: 'cam7',
  model: 'iris',
  operation: 'infer',
  id: undefined,
  correlationData: Buffer.from('c'),
  ...parts,
})
const delivery = { packetId: 1, dup: false, payload: Buffer.from('{}') }

test('two requests are the same one only with the same client, model, operation, names and body', () => {
  const texts = [
    new DuplicateKey(name(), delivery),
    new DuplicateKey(name({ client: 'cam8' }), delivery),
    new DuplicateKey(name({ model: 'digits' }), delivery),
    new DuplicateKey(name({ operation: 'predict' }), delivery),
    new DuplicateKey(name({ correlationData: Buffer.from('d') }), delivery),
    new DuplicateKey(name({ correlationData: undefined, id: 'c' }), delivery),
    new DuplicateKey(name({ id: 'c' }), delivery),
    new DuplicateKey(name(), { ...delivery, payload: Buffer.from('[]') }),
    new DuplicateKey(name(), { ...delivery, payload: Buffer.alloc(20_000, 1) }),
    new DuplicateKey(name(), { ...delivery, payload: Buffer.alloc(20_000, 2) }),
  ].map(({ text }) => text)
  expect(new Set(texts).size).toBe(texts.length)
  expect(new DuplicateKey(name(), { ...delivery, packetId: 9, dup: true }).text).toBe(texts[0])
})

test("without a name, only the broker's own redelivery of a packet can be the same request", () => {
  const nameless = name({ correlationData: undefined })
  expect(new DuplicateKey(nameless, delivery).canBeKnown).toBe(false)
  const again = new DuplicateKey(nameless, { ...delivery, dup: true })
  expect([again.canBeKnown, again.text]).toEqual([true, new DuplicateKey(nameless, delivery).text])
  expect(new DuplicateKey(nameless, { ...delivery, dup: true, packetId: 2 }).text).not.toBe(again.text)
})
