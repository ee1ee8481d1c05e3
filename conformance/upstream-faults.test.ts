// Tests the connector while a model server dies under load and restarts: requests fail at once with an error code,
// few requests are retried, and calls succeed again after the restart.
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { loadConfig, type ConfigInput } from '@inferwire/connector'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startMosquitto } from './fixtures/mosquitto.ts'
import { TestClient, type Received } from './fixtures/mqtt-client.ts'
import { FlowLoad } from './rig/flow-load.ts'
import { FakeModelServer } from './rig/model-server.ts'

const BODY = '{"instances":[[1]]}'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

type ModelInput = Partial<NonNullable<ConfigInput['models']>[string]>

interface World {
  readonly brokerUrl: string
  readonly brokerPort: number
  readonly upstream: FakeModelServer
  readonly running: TestConnector
}

async function start(models: Record<string, ModelInput>): Promise<World> {
  const broker = await startMosquitto()
  closers.push(() => broker.stop())
  const upstream = await FakeModelServer.start()
  closers.push(() => upstream.stop())
  const running = await runConnector(inputOf(broker.url, upstream, models))
  closers.push(() => running.connector.stop())
  return { brokerUrl: broker.url, brokerPort: broker.port, upstream, running }
}

function inputOf(
  brokerUrl: string,
  upstream: FakeModelServer,
  models: Record<string, ModelInput>,
): ConfigInput {
  return {
    name: 'faults',
    broker: { url: brokerUrl },
    models: Object.fromEntries(
      Object.entries(models).map(([name, model]) => [
        name,
        { url: upstream.url, protocolVersion: 'v1', ...model },
      ]),
    ),
  }
}

interface LogLine {
  readonly event: string
  readonly atMs: number
}

function linesOf({ running }: World, event: string): (LogLine & Record<string, unknown>)[] {
  return running.log
    .map((line) => JSON.parse(line) as { event: string; time: string })
    .filter((line) => line.event === event)
    .map((line) => ({ ...line, atMs: Date.parse(line.time) }))
}

async function firstLine(world: World, event: string): Promise<LogLine> {
  await expect.poll(() => linesOf(world, event).length, { timeout: 10_000, interval: 5 }).toBeGreaterThan(0)
  return linesOf(world, event)[0]!
}

async function metric({ running }: World, name: string, model: string): Promise<number> {
  const response = await fetch(`${running.connector.adminUrl}/metrics`)
  const line = (await response.text())
    .split('\n')
    .find((each) => each.startsWith(`${name}{model="${model}"}`))
  return Number(line?.split(' ')[1])
}

async function startLoad({ brokerPort }: World, model: string): Promise<FlowLoad> {
  const flow = { name: 'all', clients: ['load'], model, perSecond: 200 }
  const load = await FlowLoad.start({ port: brokerPort, flows: [flow] })
  closers.push(() => Promise.resolve(load.close()))
  load.begin()
  return load
}

function codesOf(errors: readonly string[]): Set<string> {
  return new Set(errors.map((error) => /"code":"(\w+)"/.exec(error)?.[1] ?? error))
}

test('when a model server dies under load, requests fail at once; the circuit opens within a second, and closes within two seconds of the restart', async () => {
  const world = await start({ iris: {} })
  const startedAtMs = Date.now()
  const load = await startLoad(world, 'iris')
  await expect.poll(() => load.answered, { timeout: 10_000 }).toBeGreaterThan(100)
  expect(await metric(world, 'inferwire_upstream_circuit_state', 'iris')).toBe(0)

  const diedAtMs = Date.now()
  await world.upstream.stop()
  const opened = await firstLine(world, 'circuit_opened')
  expect(opened.atMs - diedAtMs).toBeLessThan(1_000)
  expect(opened).toMatchObject({ level: 'warn', model: 'iris', url: world.upstream.url })
  expect(await metric(world, 'inferwire_upstream_circuit_state', 'iris')).toBeGreaterThan(0)

  // Waits until the probes have reached their longest interval.
  const known = load.answered
  await expect.poll(() => load.answered, { timeout: 10_000 }).toBeGreaterThan(known + 400)
  expect(linesOf(world, 'circuit_closed')).toEqual([])

  const healthyAtMs = Date.now()
  await world.upstream.start()
  const closed = await firstLine(world, 'circuit_closed')
  expect(closed.atMs - healthyAtMs).toBeLessThan(2_000)
  load.stop()
  await load.settle()
  const { verdict } = load
  const elapsedSeconds = (Date.now() - startedAtMs) / 1_000

  expect(verdict).toMatchObject({ unanswered: 0, crossed: 0, phantom: 0, duplicates: 0 })
  expect([...codesOf(verdict.errors)].toSorted()).toEqual(['circuit_open', 'upstream_unreachable'])
  const waiting = verdict.errors.filter((error) => error.includes('circuit_open'))
  expect(waiting.every((error) => /^503 .*"retryable":true,"retry_after_ms":\d+/.test(error))).toBe(true)
  expect(waiting.length).toBeGreaterThan(verdict.errors.length / 2)

  expect(await metric(world, 'inferwire_upstream_circuit_opens_total', 'iris')).toBe(1)
  expect(await metric(world, 'inferwire_upstream_circuit_state', 'iris')).toBe(0)
  const retries = await metric(world, 'inferwire_upstream_retries_total', 'iris')
  expect(retries).toBeGreaterThan(0)
  expect(retries).toBeLessThanOrEqual(verdict.requests / 10 + 3 * elapsedSeconds)
  expect([linesOf(world, 'circuit_opened').length, linesOf(world, 'circuit_closed').length]).toEqual([1, 1])
})

test('a server that hangs on all concurrent calls opens the circuit, and other requests are rejected at once', async () => {
  const world = await start({ stops: { timeoutMs: 1_000, limits: { concurrency: 2 } } })
  const client = await TestClient.connect(world.brokerUrl)
  closers.push(() => client.close())
  await client.subscribe('infer/reply/cam7/#')
  const topic = 'infer/request/cam7/stops/predict'
  expect((await client.ask(topic, '{"instances":["answer"]}')).user['status']).toBe('200')
  const flood = new AbortController()
  const flooding = (async () => {
    // Only two requests at a time get a slot. The other requests get a slot shortly before their deadlines, so
    // their timeouts do not count as failures of the server.
    while (!flood.signal.aborted) {
      void client.ask(topic, BODY)
      await pause(20)
    }
  })()
  await firstLine(world, 'circuit_opened')
  flood.abort()
  await flooding
  const probes: string[] = []
  const refused: string[] = []
  for (let count = 0; count < 40; count++) {
    void client.ask(topic, BODY).then(({ user }) => {
      const code = user['code']!
      ;(code === 'circuit_open' ? refused : probes).push(code)
    })
    await pause(50)
  }
  await expect.poll(() => probes.length + refused.length).toBe(40)
  // One request at a time is a probe, which hangs for a second. The other requests are rejected; none of them waits
  // behind the probe until its own deadline.
  expect(new Set(probes)).toEqual(new Set(['deadline_exceeded']))
  expect(probes.length).toBeLessThanOrEqual(4)
})

test('retries to a gateway without a server are at most 10 % of the requests plus three per second', async () => {
  const startedAtMs = Date.now()
  const world = await start({ nohealthy: { circuit: { failuresMax: 0 } } })
  const load = await startLoad(world, 'nohealthy')
  await expect.poll(() => load.answered, { timeout: 20_000 }).toBeGreaterThan(500)
  load.stop()
  await load.settle()
  const { requests, unanswered, errors } = load.verdict
  const elapsedSeconds = (Date.now() - startedAtMs) / 1_000
  expect(unanswered).toBe(0)
  expect([...codesOf(errors)]).toEqual(['upstream_unreachable'])
  const retries = world.upstream.calls('nohealthy') - requests
  expect(retries).toBeGreaterThan(0)
  expect(retries).toBeLessThanOrEqual(requests / 10 + 3 * elapsedSeconds)
  expect(await metric(world, 'inferwire_upstream_retries_total', 'nohealthy')).toBe(retries)
  expect(await metric(world, 'inferwire_upstream_denied_retries_total', 'nohealthy')).toBeGreaterThan(0)
})

test('a call is retried once after a lost connection, except with repeatable: false', async () => {
  const world = await start({
    'once-reset': {},
    'once-nohealthy': { repeatable: false },
    'once-cut': { repeatable: false, circuit: { failuresMax: 0 } },
  })
  const client = await TestClient.connect(world.brokerUrl)
  closers.push(() => client.close())
  await client.subscribe('infer/reply/cam7/#')
  let count = 0
  // Sends a request with a unique body; the first call for this request fails. Resolves with the status and the
  // number of calls.
  const ask = async (model: string): Promise<string> => {
    const before = world.upstream.calls(model)
    count += 1
    const { user } = await client.ask(`infer/request/cam7/${model}/predict`, `{"instances":[[${count}]]}`)
    return `${user['status']} after ${world.upstream.calls(model) - before}`
  }
  // The retry budget starts empty: the first retry is possible after a third of a second.
  await expect.poll(() => ask('once-reset'), { timeout: 10_000 }).toBe('200 after 2')
  await expect.poll(() => ask('once-nohealthy'), { timeout: 10_000 }).toBe('200 after 2')
  for (let again = 0; again < 20; again += 1) expect(await ask('once-cut')).toBe('502 after 1')
  expect(await metric(world, 'inferwire_upstream_retries_total', 'once-cut')).toBe(0)
})

test('a client with very short deadlines does not open the circuit for others', async () => {
  const world = await start({ 'slow-300': {} })
  const client = await TestClient.connect(world.brokerUrl)
  closers.push(() => client.close())
  await client.subscribe('infer/reply/cam7/#')
  const topic = 'infer/request/cam7/slow-300/predict'
  expect((await client.ask(`${topic}/first`, BODY)).user['status']).toBe('200')
  const hasty = await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      client.ask(`${topic}/${index}`, BODY, { userProperties: { 'timeout-ms': '20' } }),
    ),
  )
  expect(new Set(hasty.map(({ user }) => user['code']))).toEqual(new Set(['deadline_exceeded']))
  expect((await client.ask(`${topic}/last`, BODY)).user['status']).toBe('200')
  expect(await metric(world, 'inferwire_upstream_circuit_opens_total', 'slow-300')).toBe(0)
})

test('a reload resets the circuit of a changed model, and removes the circuit of a removed model from the metrics', async () => {
  const world = await start({ iris: { url: 'http://127.0.0.1:1' } })
  const client = await TestClient.connect(world.brokerUrl)
  closers.push(() => client.close())
  await client.subscribe('infer/reply/cam7/#')
  const ask = async (): Promise<Received> => client.ask('infer/request/cam7/iris/predict', BODY)
  await expect.poll(async () => (await ask()).user['code'], { timeout: 10_000 }).toBe('circuit_open')
  expect(await metric(world, 'inferwire_upstream_circuit_state', 'iris')).toBeGreaterThan(0)
  const reload = (models: Record<string, ModelInput>): void => {
    const flags = { admin: { port: 0 }, ...inputOf(world.brokerUrl, world.upstream, models) }
    world.running.connector.reload(loadConfig({ env: {}, flags }))
  }
  reload({ iris: {} })
  expect((await ask()).user['status']).toBe('200')
  expect(await metric(world, 'inferwire_upstream_circuit_state', 'iris')).toBe(0)
  reload({})
  expect((await ask()).user['code']).toBe('model_not_found')
  expect(await metric(world, 'inferwire_upstream_circuit_state', 'iris')).toBeNaN()
  expect(await metric(world, 'inferwire_upstream_circuit_opens_total', 'iris')).toBeNaN()
})
