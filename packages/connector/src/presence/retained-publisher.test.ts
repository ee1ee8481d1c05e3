import { expect, test } from 'vitest'
import { RetainedPublisher } from './retained-publisher.ts'

// Simulates a broker that acknowledges a message only when the test asks it to.
function slowBroker(): { sent: string[]; acknowledge: () => void; publisher: RetainedPublisher } {
  const sent: string[] = []
  const open: (() => void)[] = []
  const publisher = new RetainedPublisher((topic, payload) => {
    sent.push(`${topic}=${payload}`)
    return new Promise((resolve) => open.push(resolve))
  })
  return { sent, acknowledge: () => open.shift()?.(), publisher }
}

test('keeps one message per topic in flight, and then sends only the newest value', async () => {
  const { sent, acknowledge, publisher } = slowBroker()
  void publisher.publish('a', '1')
  void publisher.publish('b', '1')
  for (let value = 2; value <= 100; value++) void publisher.publish('a', String(value))
  const settled = publisher.publish('a', '')
  expect(sent).toEqual(['a=1', 'b=1'])
  acknowledge()
  await expect.poll(() => sent).toEqual(['a=1', 'b=1', 'a='])
  acknowledge()
  acknowledge()
  await settled
  expect(sent).toEqual(['a=1', 'b=1', 'a='])
})

test('discards the queued value, and publishes nothing, when the new value equals the value in flight', async () => {
  const { sent, acknowledge, publisher } = slowBroker()
  void publisher.publish('a', '1')
  void publisher.publish('a', '2')
  const settled = publisher.publish('a', '1')
  acknowledge()
  await settled
  expect(sent).toEqual(['a=1'])
  void publisher.publish('a', '1')
  expect(sent).toEqual(['a=1', 'a=1'])
})
