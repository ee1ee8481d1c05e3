// Tests a long call during many short calls, on a real Mosquitto. Covers reused Packet Identifiers, safekeeping and
// lanes.
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connectAsync, type MqttClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { ConfigInput } from '@inferwire/connector'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startInferwire } from './fixtures/inferwire.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import type { RunningCommand } from './fixtures/processes.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { Gate, predictBody } from './rig/answers.ts'
import { FakeModelServer } from './rig/model-server.ts'

let broker: Mosquitto
let upstream: FakeModelServer
const gate = new Gate()
let client: TestClient
const processes: RunningCommand[] = []
const connectors: TestConnector[] = []

beforeAll(async () => {
  broker = await startMosquitto()
  upstream = await FakeModelServer.start({
    answer: gate.hold(predictBody, 'held'),
    // The many short calls are counted, but not stored.
    keeps: ({ model }) => model !== 'quick',
  })
  client = await TestClient.connect(broker.url, { isPersistent: true })
  await client.subscribe('infer/reply/plc/#')
})

afterEach(async () => {
  gate.release()
  for (const command of processes.splice(0)) {
    command.signal('SIGKILL')
    await command.ended
  }
  for (const { connector } of connectors.splice(0)) await connector.stop()
})

afterAll(async () => {
  await client.close()
  await upstream.stop()
  await broker.stop()
})

const callsOf = (model: string): readonly string[] => upstream.bodies(model)
const repliesOn = (topic: string): string[] =>
  client.received.filter((message) => message.topic === topic).map(({ payload }) => payload.toString())

/** Publishes `count` requests, 500 at a time, and resolves when all of them are answered. */
async function askMany(model: string, count: number): Promise<void> {
  const load: MqttClient = await connectAsync(broker.url, { protocolVersion: 4 })
  await load.subscribeAsync('infer/reply/load/#', { qos: 0 })
  let sent = 0
  let answered = 0
  const send = (): void => {
    sent += 1
    load.publish(`infer/request/load/${model}/predict/${sent}`, `{"instances":[${sent}]}`, { qos: 1 })
  }
  await new Promise<void>((resolve) => {
    load.on('message', () => {
      answered += 1
      if (answered === count) resolve()
      else if (sent < count) send()
    })
    while (sent < Math.min(count, 500)) send()
  })
  await load.endAsync()
}

test('a request that 70,000 later requests overtake is put in safekeeping, and is executed again after a kill -9', async () => {
  const state = tempFolder('state')
  const config = join(state, 'inferwire.yaml')
  const held = { url: upstream.url, protocolVersion: 'v1', timeoutMs: 600_000, lane: false }
  const model = { url: upstream.url, protocolVersion: 'v1' }
  const text = {
    name: 'wrap',
    broker: { url: broker.url },
    admin: { enabled: false },
    log: { format: 'json' },
    poison: { stateFolder: state },
    models: { 'held-wrap': held, quick: model },
  }
  writeFileSync(config, JSON.stringify(text))
  const start = async (): Promise<RunningCommand> => {
    const command = startInferwire(['connect', '-c', config])
    processes.push(command)
    await command.said(/session_ready/)
    return command
  }
  const connector = await start()
  await client.publish('infer/request/plc/held-wrap/predict/1', '{"instances":["long"]}')
  await expect.poll(() => callsOf('held-wrap').length).toBe(1)

  await askMany('quick', 70_000)
  expect(readdirSync(join(state, 'kept'))).toHaveLength(1)

  connector.signal('SIGKILL')
  await connector.ended
  const restarted = await start()
  await expect.poll(() => callsOf('held-wrap').length, { timeout: 20_000 }).toBe(2)
  expect(restarted.stderr()).toContain('kept_requests_taken')
  expect(callsOf('held-wrap')).toEqual(['{"instances":["long"]}', '{"instances":["long"]}'])
  gate.release()
  await expect
    .poll(() => repliesOn('infer/reply/plc/held-wrap/predict/1'))
    .toEqual(['{"predictions":[{"instances":["long"]}]}'])
  await expect.poll(() => readdirSync(join(state, 'kept'))).toEqual([])
}, 180_000)

async function run(models: Record<string, object>, name?: string): Promise<TestConnector> {
  const all = Object.entries(models).map(([name, model]) => [
    name,
    { url: upstream.url, protocolVersion: 'v1', ...model },
  ])
  const running = await runConnector({
    ...(name === undefined ? {} : { name }),
    broker: { url: broker.url },
    models: Object.fromEntries(all) as NonNullable<ConfigInput['models']>,
  })
  connectors.push(running)
  return running
}

const laneReady = ({ log }: TestConnector): Promise<void> =>
  expect.poll(() => log.filter((line) => line.includes('lane_ready')).length).toBeGreaterThan(0)

async function askOnce(model: string, from: number, count: number): Promise<void> {
  const bodies = Array.from({ length: count }, (_, index) => `{"instances":["${model} ${from + index}"]}`)
  await Promise.all(bodies.map((body) => client.ask(`infer/request/plc/${model}/predict`, body)))
  for (const body of bodies) {
    expect(callsOf(model).filter((call) => call === body)).toHaveLength(1)
    expect(client.received.filter(({ payload }) => payload.includes(body))).toHaveLength(1)
  }
}

test('a lane answers each request of its model only once, although two sessions receive the request', async () => {
  const running = await run({ 'lane-once': { lane: true, versions: [] }, other: {} })
  await laneReady(running)
  await askOnce('lane-once', 0, 50)
  await askOnce('other', 0, 50)
  // This request has no id, so the connector cannot recognize its two copies by an id.
  await client.publish('infer/request/plc/lane-once/predict', '{"instances":["nameless"]}')
  await expect.poll(() => repliesOn('infer/reply/plc/lane-once/predict').length).toBe(51)
  expect(callsOf('lane-once').filter((call) => call.includes('nameless'))).toHaveLength(1)
  expect(running.log.filter((line) => line.includes('lane_ready'))).toHaveLength(1)
})

test('requests that waited for a connector are delivered to both sessions, and answered only once', async () => {
  const models = { 'lane-backlog': { lane: true } }
  const first = await run(models, 'backlog')
  await laneReady(first)
  await askOnce('lane-backlog', 0, 5)
  await connectors.pop()!.connector.stop()
  const asked = askOnce('lane-backlog', 5, 40)
  await run(models, 'backlog')
  await asked
})

test('a lane that loses its connection keeps its requests, and answers none of them twice', async () => {
  const running = await run({ 'held-lane': { lane: true }, other: {} })
  await laneReady(running)
  await client.publish('infer/request/plc/held-lane/predict/1', '{"instances":["a"]}')
  await expect.poll(() => gate.open).toBe(1)
  await broker.stop('SIGTERM')
  await broker.start()
  await expect.poll(() => client.mqtt.connected, { timeout: 10_000 }).toBe(true)
  await expect.poll(() => running.log.filter((line) => line.includes('lane_ready')).length).toBe(2)
  await askOnce('other', 200, 20)
  gate.release()
  await expect.poll(() => repliesOn('infer/reply/plc/held-lane/predict/1').length).toBeGreaterThan(0)
  await askOnce('other', 220, 20)
  expect(callsOf('held-lane')).toEqual(['{"instances":["a"]}'])
})

test('a reload that adds or removes the lane of a model loses no request and repeats no call', async () => {
  const running = await run({ 'lane-reload': { lane: false } })
  await askOnce('lane-reload', 0, 10)
  const reload = (lane: boolean): void => {
    const { config } = running
    const models = { 'lane-reload': { ...config.models['lane-reload']!, lane } }
    running.connector.reload({ ...config, models })
  }
  reload(true)
  await askOnce('lane-reload', 10, 30)
  await laneReady(running)
  await askOnce('lane-reload', 40, 30)
  // Requests arrive while the lane subscribes and unsubscribes.
  for (let from = 100; from < 2_000; from += 100) {
    reload(false)
    await askOnce('lane-reload', from, 30)
    reload(true)
    await askOnce('lane-reload', from + 30, 60)
  }
}, 60_000)
