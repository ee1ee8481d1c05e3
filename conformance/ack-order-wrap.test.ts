// Mosquitto increments Packet Identifiers and does not skip those in use. When it has sent 65,535 messages after a long
// request, it reuses the request's identifier, and the PUBACK for the newer message then deletes the request. In
// these tests, more than 65,535 messages overtake a long request, and nothing is lost.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Application, REQUEST_TOPIC, type SessionOptions } from './fixtures/application.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'

const COUNT = 66_000
// With these settings, only the connector's Receive Maximum limits the number of messages in flight.
const UNBOUNDED = ['max_inflight_messages 0', 'max_inflight_bytes 0', 'max_queued_messages 0']

let mosquitto: Mosquitto
let client: TestClient
const applications: Application[] = []

beforeEach(async () => {
  mosquitto = await startMosquitto({ config: UNBOUNDED })
  client = await TestClient.connect(mosquitto.url)
})
afterEach(async () => {
  for (const { session } of applications.splice(0)) await session.close()
  await client.close()
  await mosquitto.stop()
})

async function start(held: readonly string[], options: Partial<SessionOptions> = {}): Promise<Application> {
  const application = new Application(mosquitto.url, held, { clientId: 'wrap', ...options })
  applications.push(application)
  await application.ready
  return application
}

async function publish(key: string): Promise<void> {
  await client.publish(REQUEST_TOPIC, '{}', { correlationData: Buffer.from(key) })
}

async function publishAll(): Promise<void> {
  await publish('slow')
  for (let from = 0; from < COUNT; from += 1000)
    await Promise.all(Array.from({ length: 1000 }, (_, index) => publish(`fast${from + index}`)))
}

test('a long request that cannot be put in safekeeping stops the intake before its Packet Identifier is reused, and is redelivered after a crash', async () => {
  const first = await start(['slow'])
  await publishAll()
  await first.warned
  await expect.poll(() => first.session.unacknowledged, { interval: 5, timeout: 20_000 }).toBe(32_767)
  // The next message would reuse the identifier of the first message.
  expect(first.taken).toHaveLength(65_534)
  await first.session.close()
  const second = await start([])
  await expect.poll(() => second.taken.length, { interval: 5, timeout: 20_000 }).toBe(COUNT + 1 - 32_767)
  expect(second.taken[0]).toBe('slow')
  expect(new Set([...first.taken, ...second.taken]).size).toBe(COUNT + 1)
  expect(first.warnings).toEqual(['intake_held_back'])
})

test('a long request that is put in safekeeping releases its Packet Identifier, and the intake continues', async () => {
  const kept: string[] = []
  const first = await start(['slow'], {
    keeper: ({ properties }) => {
      const key = properties.correlationData!.toString()
      kept.push(key)
      return () => void kept.push(`${key} settled`)
    },
  })
  await publishAll()
  await expect.poll(() => first.taken.length, { interval: 5, timeout: 20_000 }).toBe(COUNT + 1)
  await expect.poll(() => first.session.unacknowledged, { interval: 5, timeout: 20_000 }).toBe(0)
  expect(kept).toEqual(['slow'])
  await first.session.close()
  first.release()
  expect(kept).toEqual(['slow', 'slow settled'])
  const second = await start([])
  await publish('last')
  await expect.poll(() => second.taken.length, { interval: 5, timeout: 20_000 }).toBeGreaterThan(0)
  expect(second.taken).toEqual(['last'])
})
