// The delivery promises on a real Mosquitto: the connector is a process that is killed, stopped and cut off, and a tap
// between it and the broker is the witness.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { WireTap } from './chaos/tap.ts'
import { startInferwire, type RunningCommand } from './fixtures/inferwire.ts'
import { Load } from './fixtures/load.ts'
import { startUpstream, type Upstream } from './fixtures/misbehaving-upstream.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'

const NAME = 'under-fire'
const OWN_TOPICS = [
  `infer/status/${NAME}`,
  'infer/models/iris',
  'infer/models/slow-100',
  'infer/models/slow-30',
]

let broker: Mosquitto
let upstream: Upstream
let tap: WireTap
const processes: RunningCommand[] = []

beforeAll(async () => {
  broker = await startMosquitto()
  upstream = await startUpstream()
  tap = await WireTap.start(broker.port, {
    requestRoots: ['infer/request/'],
    replyRoots: ['infer/reply/'],
    ownTopics: OWN_TOPICS,
    ackHoldMaxMs: 2000,
  })
})

afterEach(async () => {
  for (const command of processes.splice(0)) {
    command.signal('SIGKILL')
    await command.ended
  }
})

afterAll(async () => {
  await tap.close()
  await upstream.stop()
  await broker.stop()
})

// Killed at every turn, the connector would suspect the requests; that has a test of its own.
const TRUSTING = { env: { INFERWIRE_POISON_ENABLED: 'false' } }

async function startConnector(): Promise<RunningCommand> {
  const argv = [
    'connect',
    '--broker',
    tap.url,
    '--name',
    NAME,
    '--admin-port',
    '0',
    '--log-format',
    'json',
    '--model',
    `iris=${upstream.url},protocolVersion=v1`,
    '--model',
    `slow-100=${upstream.url},protocolVersion=v1`,
    '--model',
    `slow-30=${upstream.url},protocolVersion=v1`,
  ]
  const command = startInferwire(argv, TRUSTING)
  processes.push(command)
  await command.said(/session_ready/)
  return command
}

test('kill -9 with 200 requests under way: every request is answered after the restart, none crossed', async () => {
  const load = await Load.start(broker.url, 'slow-100')
  let connector = await startConnector()
  const redeliveredBefore = tap.seen.redelivered
  for (let round = 0; round < 20; round++) {
    const before = load.answered
    await load.sendMany(200)
    // Killed in the middle: some are answered, most are not.
    await expect.poll(() => load.answered > before, { interval: 2, timeout: 10_000 }).toBe(true)
    connector.signal('SIGKILL')
    await connector.ended
    connector = await startConnector()
  }
  const { unanswered, crossed, phantom, errors, requests } = await load.settle()
  expect({ requests, unanswered, crossed, phantom, errors }).toEqual({
    requests: 4000,
    unanswered: 0,
    crossed: 0,
    phantom: 0,
    errors: [],
  })
  // The kills hit something: requests came again.
  expect(tap.seen.redelivered - redeliveredBefore).toBeGreaterThan(20 * 50)
  expect(tap.violations).toEqual([])
  await load.close()
}, 180_000)

test("on the wire: no PUBACK before the reply's PUBACK, in arrival order, none of an old epoch", async () => {
  const load = await Load.start(broker.url, 'slow-30')
  await startConnector()
  // The broker's acknowledgements of replies are held back: not one request may be acknowledged.
  tap.holdReplyAcks = true
  const before = { ...tap.seen }
  const sending = load.sendMany(50)
  await expect.poll(() => tap.seen.replies - before.replies, { timeout: 10_000 }).toBeGreaterThan(0)
  await new Promise((resolve) => setTimeout(resolve, 500))
  expect(tap.seen.requestAcks).toBe(before.requestAcks)
  tap.holdReplyAcks = false
  await sending
  expect(await load.settle()).toMatchObject({ requests: 50, unanswered: 0, crossed: 0, duplicates: 0 })
  await expect.poll(() => tap.seen.requestAcks - before.requestAcks, { timeout: 10_000 }).toBe(50)
  expect(tap.violations).toEqual([])
  await load.close()
})

test('SIGTERM under load loses nothing and exits 0', async () => {
  const load = await Load.start(broker.url, 'slow-30')
  let connector = await startConnector()
  const stop = new AbortController()
  const sending = load.sendUntil(stop.signal, 300)
  for (let round = 0; round < 5; round++) {
    const before = load.answered
    await expect.poll(() => load.answered - before, { timeout: 10_000 }).toBeGreaterThan(50)
    connector.signal('SIGTERM')
    expect((await connector.ended).code).toBe(0)
    connector = await startConnector()
  }
  stop.abort()
  await sending
  const verdict = await load.settle()
  expect(verdict).toMatchObject({ unanswered: 0, crossed: 0, phantom: 0, duplicates: 0, errors: [] })
  expect(verdict.requests).toBeGreaterThan(250)
  expect(tap.violations).toEqual([])
  await load.close()
}, 60_000)

test('a broker restart under load loses nothing, and the connector is ready again by itself', async () => {
  const load = await Load.start(broker.url, 'slow-30')
  const connector = await startConnector()
  const stop = new AbortController()
  const sending = load.sendUntil(stop.signal, 300)
  for (let round = 0; round < 3; round++) {
    const before = load.answered
    await expect.poll(() => load.answered - before, { timeout: 20_000 }).toBeGreaterThan(50)
    const sessions = count(connector, /session_ready/g)
    await broker.stop('SIGTERM')
    await broker.start()
    await expect.poll(() => count(connector, /session_ready/g), { timeout: 20_000 }).toBe(sessions + 1)
  }
  const before = load.answered
  await expect.poll(() => load.answered - before, { timeout: 20_000 }).toBeGreaterThan(20)
  stop.abort()
  await sending
  expect(await load.settle()).toMatchObject({ unanswered: 0, crossed: 0, phantom: 0, errors: [] })
  expect(count(connector, /session_lost/g)).toBe(0)
  expect(tap.violations).toEqual([])
  await load.close()
}, 90_000)

function count(command: RunningCommand, pattern: RegExp): number {
  return [...command.stderr().matchAll(pattern)].length
}
