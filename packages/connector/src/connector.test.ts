// Tests a complete connector on the embedded broker. The model server answers at once, or when the test releases the
// answer.
import { mkdtempSync, rmSync } from 'node:fs'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startBroker, type Broker } from '@inferwire/dev'
import { connectAsync, type MqttClient } from 'mqtt'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ConfigError, loadConfig, type ConfigInput } from './config/index.ts'
import { startConnector, type Connector } from './connector.ts'
import { createLog } from './telemetry/index.ts'

let broker: Broker
let server: Server
let serverUrl: string
let client: MqttClient
let connector: Connector | undefined
let log: string[]
let messages: { topic: string; payload: string }[]
let openCalls: (() => void)[]

beforeEach(async () => {
  log = []
  messages = []
  openCalls = []
  broker = await startBroker('embedded', { mqttPort: 0, wsPort: 0 })
  server = createServer((request, response) => {
    const answer = (): void =>
      void response.setHeader('content-type', 'application/json').end(JSON.stringify({ predictions: [1] }))
    if (request.url === '/v1/chat/completions') {
      // A stream that does not end.
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {"choices":[]}\n\n')
    } else if (request.method === 'POST' && request.url!.includes('slow')) openCalls.push(answer)
    else answer()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  serverUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  client = await connectAsync(broker.url, { protocolVersion: 4 })
  client.on('message', (topic, payload) => messages.push({ topic, payload: payload.toString() }))
  await client.subscribeAsync('infer/#', { qos: 1 })
})

afterEach(async () => {
  for (const answer of openCalls.splice(0)) answer()
  await connector?.stop()
  connector = undefined
  await client.endAsync()
  await broker.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const configOf = (models: string[], rest: ConfigInput = {}): ReturnType<typeof loadConfig> =>
  loadConfig({
    env: {},
    flags: {
      name: 'edge',
      broker: { url: broker.url, mqttVersion: '3.1.1' },
      admin: { enabled: false },
      poison: { enabled: false },
      models: Object.fromEntries(
        models.map((name) => [name, { url: serverUrl, protocolVersion: 'v1' as const }]),
      ),
      ...rest,
    },
  })

async function start(config: ReturnType<typeof loadConfig>): Promise<Connector> {
  const sink = { write: (line: string) => log.push(line) }
  connector = await startConnector(config, { log: createLog({ level: 'debug', format: 'json' }, sink) })
  await connector.ready
  return connector
}

const request = (model: string, id: string): Promise<unknown> =>
  client.publishAsync(`infer/request/cam7/${model}/predict/${id}`, '{"instances":[1]}', { qos: 1 })
const reply = (model: string, id: string): Promise<string> => {
  const topic = `infer/reply/cam7/${model}/predict/${id}`
  return expect
    .poll(() => messages.find((message) => message.topic === topic)?.payload)
    .toBeDefined()
    .then(() => messages.find((message) => message.topic === topic)!.payload)
}
const states = (): unknown[] =>
  messages
    .filter(({ topic }) => topic === 'infer/status/edge')
    .map(({ payload }) => (JSON.parse(payload) as { state: string }).state)
const events = (): unknown[] => log.map((line) => (JSON.parse(line) as { event: unknown }).event)

test('answers requests, and publishes its status and cards', async () => {
  const { cards } = await start(configOf(['iris']))
  await request('iris', '1')
  expect(JSON.parse(await reply('iris', '1'))).toEqual({ predictions: [1] })
  expect(cards.map(({ name }) => name)).toEqual(['iris'])
  expect(states()).toContain('online')
})

test('a reload adds and removes models and changes the policy without reconnecting', async () => {
  const { reload } = bound(await start(configOf(['iris'])))
  reload(configOf(['digits'], { policy: { allow: [{ clients: ['cam*'], models: ['digits'] }] } }))
  await request('digits', '1')
  await request('iris', '2')
  expect(JSON.parse(await reply('digits', '1'))).toEqual({ predictions: [1] })
  expect(JSON.parse(await reply('iris', '2'))).toMatchObject({ code: 'model_not_found' })
  reload(configOf(['digits'], { policy: { allow: [] } }))
  await request('digits', '3')
  expect(JSON.parse(await reply('digits', '3'))).toMatchObject({ code: 'model_not_found' })
  reload(configOf(['digits'], { policy: { allow: [], showForbidden: true } }))
  await request('digits', '4')
  expect(JSON.parse(await reply('digits', '4'))).toMatchObject({ code: 'forbidden_model' })
  expect(events().filter((event) => event === 'session_ready')).toHaveLength(1)
})

test('a reload that fails changes nothing', async () => {
  const { reload } = bound(await start(configOf(['iris'])))
  const broken = configOf(['digits'])
  const digits = {
    ...broken.models['digits']!,
    url: 'https://127.0.0.1:1',
    tls: { caFile: '/does/not/exist' },
  }
  const config = { ...broken, models: { iris: broken.models['digits']!, digits } } as unknown as typeof broken
  expect(() => reload(config)).toThrow(ConfigError)
  await request('iris', '1')
  expect(JSON.parse(await reply('iris', '1'))).toEqual({ predictions: [1] })
})

test('a reload logs the options that need a restart', async () => {
  const { reload } = bound(await start(configOf(['iris'])))
  reload(configOf(['iris'], { root: 'other' }))
  const line = log.find((text) => text.includes('reload_incomplete'))
  expect(JSON.parse(line!)).toMatchObject({ keys: ['root'] })
})

test('warns, at the start and after a reload, about names in the policy that match no model', async () => {
  const policy = { allow: [{ clients: ['*'], models: ['iriss'] }] }
  const { reload } = bound(await start(configOf(['iris'], { policy })))
  reload(configOf(['iris'], { policy: { allow: [] } }))
  const warnings = log.map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(warnings.filter(({ event }) => event === 'config_warning').map(({ msg }) => msg)).toEqual([
    'policy.allow[0].models[0]: "iriss" matches no model; did you mean "iris"?',
    'policy.allow: is empty: no client may use any model',
  ])
})

test('/readyz lists the models that the first connection waits for', async () => {
  const admin = { host: '127.0.0.1', port: 0 }
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
  connector = await startConnector(configOf([], { admin, models: { defects: { url } } }), {
    log: createLog({ level: 'error', format: 'json' }, { write: () => {} }),
  })
  const response = await fetch(`${connector.adminUrl}/readyz`)
  expect(await response.text()).toBe('waiting for models: defects (up to 3 s)\n')
  silent.closeAllConnections()
  silent.close()
})

test('stop() completes the request in flight, and publishes draining and offline', async () => {
  const { stop } = bound(await start(configOf(['slow'])))
  await request('slow', '1')
  await expect.poll(() => openCalls.length).toBe(1)
  const stopped = stop()
  await expect.poll(states).toContain('draining')
  for (const answer of openCalls.splice(0)) answer()
  expect(await stopped).toBe(true)
  expect(JSON.parse(await reply('slow', '1'))).toEqual({ predictions: [1] })
  expect(states().slice(-2)).toEqual(['draining', 'offline'])
  connector = undefined
})

test('a request that is still in flight after drain.timeoutMs is redelivered to the next process', async () => {
  const { stop } = bound(await start(configOf(['slow'], { drain: { timeoutMs: 50 } })))
  await request('slow', '1')
  await expect.poll(() => openCalls.length).toBe(1)
  expect(await stop()).toBe(false)
  expect(events()).toContain('drain_incomplete')
  await start(configOf(['slow']))
  await expect.poll(() => openCalls.length).toBe(2)
  for (const answer of openCalls.splice(0)) answer()
  expect(JSON.parse(await reply('slow', '1'))).toEqual({ predictions: [1] })
})

test('the client of a stream that is still running at the end of a drain receives a last message', async () => {
  const models = { llm: { url: serverUrl, protocolVersion: 'openai' as const } }
  const { stop } = bound(await start(configOf([], { models, drain: { timeoutMs: 200 } })))
  const topic = 'infer/reply/cam7/llm/chat/1'
  await client.publishAsync('infer/request/cam7/llm/chat/1', '{"stream":true,"messages":[]}', { qos: 1 })
  const seen = (): string[] => messages.filter((each) => each.topic === topic).map(({ payload }) => payload)
  await expect.poll(seen).toEqual(['{"choices":[]}'])
  expect(await stop()).toBe(true)
  expect(JSON.parse(seen()[1]!)).toMatchObject({ code: 'stream_interrupted', retryable: true })
  expect(events()).not.toContain('drain_incomplete')
  connector = undefined
})

// Binds the methods, so that tests can destructure them.
function bound(running: Connector): Pick<Connector, 'reload' | 'stop'> {
  return { reload: (config) => running.reload(config), stop: () => running.stop() }
}

test.each([true, false])(
  'with poison.enabled: %s, does not start a second connector with the same client identifier on the same machine',
  async (enabled) => {
    const stateFolder = mkdtempSync(join(tmpdir(), 'inferwire-connector-'))
    const config = configOf(['iris'], { poison: { enabled, stateFolder } })
    await start(config)
    await expect(startConnector(config)).rejects.toThrow(
      `another connector with the client identifier "inferwire-edge" runs on this machine (process ${process.pid})`,
    )
    await connector?.stop()
    await start(config)
    await connector?.stop()
    rmSync(stateFolder, { recursive: true })
  },
)
