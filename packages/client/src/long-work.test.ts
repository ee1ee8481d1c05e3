// Tests how result() assembles the messages of a result. A list of messages replaces the broker.
import { expect, test } from 'vitest'
import { fetchResult } from './long-work.ts'
import { resolveSettings } from './options.ts'
import type { Dial } from './transport.ts'

const ID = '0'.repeat(32)
const TOPIC = `infer/reply/app/llm/chat/i/${ID}`
const settings = resolveSettings('mqtt://127.0.0.1', { identity: 'app' })

// Delivers one message for each list of user properties.
const brokerWith = (...messages: string[][]): Dial =>
  ((_target: unknown, events: Parameters<Dial>[1]) => {
    setImmediate(() => {
      for (const userProperties of messages) {
        const payload = new TextEncoder().encode(userProperties.includes('final') ? '[DONE]' : '{}')
        events.onMessage({ topic: TOPIC, payload, properties: { userProperties } })
      }
    })
    return Promise.resolve({ isSessionPresent: true, close: () => Promise.resolve() })
  }) as unknown as Dial

const part = (seq: number): string[] => ['seq', String(seq)]
const end = (seq: number): string[] => ['seq', String(seq), 'final', 'true', 'status', '200']

test('result() fails if parts are missing before the end', async () => {
  const seen: number[] = []
  const result = fetchResult(settings, brokerWith(part(0), part(1), end(5)), ID, {
    onPart: ({ seq }) => seen.push(seq),
  })
  await expect(result).rejects.toMatchObject({ code: 'stream_interrupted' })
  expect(seen).toEqual([0, 1])
})

test('result() fails if parts are missing between two parts', async () => {
  const result = fetchResult(settings, brokerWith(part(0), part(2), end(3)), ID, {})
  await expect(result).rejects.toMatchObject({ code: 'stream_interrupted' })
})

test('result() begins at the first part that an earlier call did not receive', async () => {
  const seen: number[] = []
  const onPart = ({ seq }: { seq: number }): unknown => seen.push(seq)
  const broker = brokerWith(part(3), part(3), part(4), end(5))
  expect((await fetchResult(settings, broker, ID, { onPart })).text()).toBe('[DONE]')
  expect((await fetchResult(settings, brokerWith(end(5)), ID, { onPart })).text()).toBe('[DONE]')
  expect(seen).toEqual([3, 4])
})
