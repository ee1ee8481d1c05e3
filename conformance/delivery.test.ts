// Tests the delivery requirements on a real Mosquitto: the connector's process is killed, stopped and disconnected, and
// a tap checks the packets between the connector and the broker.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { WireTap } from './chaos/tap.ts'
import { startInferwire } from './fixtures/inferwire.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import type { RunningCommand } from './fixtures/processes.ts'
import { FlowLoad } from './rig/flow-load.ts'
import { FakeModelServer } from './rig/model-server.ts'

const NAME = 'under-fire'
const OWN_TOPICS = [
  `infer/status/${NAME}`,
  'infer/models/iris',
  'infer/models/slow-100',
  'infer/models/slow-30',
]

let broker: Mosquitto
let upstream: FakeModelServer
let tap: WireTap
const processes: RunningCommand[] = []

beforeAll(async () => {
  broker = await startMosquitto()
  upstream = await FakeModelServer.start()
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

// Without this setting, the connector would treat the requests as poison after so many kills (see poison.test.ts).
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

let loads = 0
function startLoad(model: string): Promise<FlowLoad> {
  loads += 1
  const flow = { name: 'all', clients: [`load-${loads}`], model, perSecond: 300, expirySeconds: 600 }
  return FlowLoad.start({ port: broker.port, flows: [flow] })
}

test('200 requests in flight each receive their own answer after a kill -9 and a restart', async () => {
  const load = await startLoad('slow-100')
  let connector = await startConnector()
  const redeliveredBefore = tap.seen.redelivered
  for (let round = 0; round < 20; round++) {
    const before = load.answered
    await load.sendMany(200)
    // The connector is killed in the middle: some requests are answered, most are not.
    await expect.poll(() => load.answered > before, { interval: 2, timeout: 10_000 }).toBe(true)
    connector.signal('SIGKILL')
    await connector.ended
    connector = await startConnector()
  }
  await load.settle()
  const { unanswered, crossed, phantom, errors, requests } = load.verdict
  expect({ requests, unanswered, crossed, phantom, errors }).toEqual({
    requests: 4000,
    unanswered: 0,
    crossed: 0,
    phantom: 0,
    errors: [],
  })
  // Redelivered requests prove that the kills had an effect.
  expect(tap.seen.redelivered - redeliveredBefore).toBeGreaterThan(20 * 50)
  expect(tap.violations).toEqual([])
  load.close()
}, 180_000)

test('requests are acknowledged in arrival order, only after the broker has acknowledged their replies, and on the connection that delivered them', async () => {
  const load = await startLoad('slow-30')
  await startConnector()
  // While the broker's PUBACKs for replies are held back, no request may be acknowledged.
  tap.holdReplyAcks = true
  const before = { ...tap.seen }
  const sending = load.sendMany(50)
  await expect.poll(() => tap.seen.replies - before.replies, { timeout: 10_000 }).toBeGreaterThan(0)
  await new Promise((resolve) => setTimeout(resolve, 500))
  expect(tap.seen.requestAcks).toBe(before.requestAcks)
  tap.holdReplyAcks = false
  await sending
  await load.settle()
  expect(load.verdict).toMatchObject({ requests: 50, unanswered: 0, crossed: 0, duplicates: 0 })
  await expect.poll(() => tap.seen.requestAcks - before.requestAcks, { timeout: 10_000 }).toBe(50)
  expect(tap.violations).toEqual([])
  load.close()
})

test('after SIGTERM under load the connector loses nothing and exits with 0', async () => {
  const load = await startLoad('slow-30')
  let connector = await startConnector()
  load.begin()
  for (let round = 0; round < 5; round++) {
    const before = load.answered
    await expect.poll(() => load.answered - before, { timeout: 10_000 }).toBeGreaterThan(50)
    connector.signal('SIGTERM')
    expect((await connector.ended).code).toBe(0)
    connector = await startConnector()
  }
  load.stop()
  await load.settle()
  const { verdict } = load
  expect(verdict).toMatchObject({ unanswered: 0, crossed: 0, phantom: 0, duplicates: 0, errors: [] })
  expect(verdict.requests).toBeGreaterThan(250)
  expect(tap.violations).toEqual([])
  load.close()
}, 60_000)

test('a broker restart under load loses nothing, and the connector reconnects by itself', async () => {
  const load = await startLoad('slow-30')
  const connector = await startConnector()
  load.begin()
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
  load.stop()
  await load.settle()
  expect(load.verdict).toMatchObject({ unanswered: 0, crossed: 0, phantom: 0, errors: [] })
  expect(count(connector, /session_lost/g)).toBe(0)
  expect(tap.violations).toEqual([])
  load.close()
}, 90_000)

function count(command: RunningCommand, pattern: RegExp): number {
  return [...command.stderr().matchAll(pattern)].length
}
