// Tests a complete connector that discovers its models, on the embedded broker. The API server is a stand-in.
import { writeFileSync } from 'node:fs'
import { startBroker, type Broker } from '@inferwire/dev'
import { connectAsync, type MqttClient } from 'mqtt'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { loadConfig, type ConfigInput } from './config/index.ts'
import { startConnector, type Connector } from './connector.ts'
import { ModelRegistry } from './model-registry.ts'
import { createLog } from './telemetry/index.ts'
import { startTestCluster, type TestCluster } from './discovery/testing/test-cluster.ts'

let broker: Broker
let cluster: TestCluster
let client: MqttClient
let connector: Connector | undefined
let log: Record<string, unknown>[]
/** The newest payload of each topic; `''` = cleared. */
let messages: Map<string, string>

beforeEach(async () => {
  log = []
  messages = new Map()
  broker = await startBroker('embedded', { mqttPort: 0, wsPort: 0 })
  cluster = await startTestCluster('v1')
  client = await connectAsync(broker.url, { protocolVersion: 5 })
  client.on('message', (topic, payload) => messages.set(topic, payload.toString()))
  await client.subscribeAsync('infer/#', { qos: 1 })
})

afterEach(async () => {
  await connector?.stop()
  connector = undefined
  await client.endAsync()
  await broker.close()
  await cluster.close()
})

const configOf = (
  discovery: ConfigInput['discovery'] = {},
  rest: ConfigInput = {},
): ReturnType<typeof loadConfig> =>
  loadConfig({
    env: {},
    flags: {
      name: 'edge',
      broker: { url: broker.url },
      admin: { enabled: false },
      poison: { enabled: false },
      discovery: { ...cluster.discovery, ...discovery },
      ...rest,
    },
  })

async function start(config = configOf()): Promise<Connector> {
  const sink = { write: (line: string) => log.push(JSON.parse(line) as Record<string, unknown>) }
  connector = await startConnector(config, { log: createLog({ level: 'debug', format: 'json' }, sink) })
  await connector.ready
  return connector
}

const poll = { timeout: 20_000, interval: 5 }
const read = (topic: string): Record<string, unknown> | '' | undefined => {
  const text = messages.get(topic)
  return text === undefined || text === '' ? text : (JSON.parse(text) as Record<string, unknown>)
}
const card = (model: string): ReturnType<typeof read> => read(`infer/models/${model}`)
const discoveryStatus = (): unknown => (read('infer/status/edge') as Record<string, unknown>)?.['discovery']
const messagesOf = (event: string): string[] =>
  log.filter((line) => line['event'] === event).map((line) => String(line['msg']))
const byText = (one: string, other: string): number => one.localeCompare(other)

let requests = 0
async function ask(model: string): Promise<unknown> {
  requests += 1
  const topic = `cam7/${model}/predict/${requests}`
  await client.publishAsync(`infer/request/${topic}`, '{"instances":[1]}', { qos: 1 })
  await expect.poll(() => messages.get(`infer/reply/${topic}`), poll).toBeDefined()
  return read(`infer/reply/${topic}`)
}

test('exposes the objects of the cluster, and follows their changes', async () => {
  cluster.put('models', 'iris')
  cluster.put('vision', 'iris')
  cluster.put('models', 'private', { annotations: { 'inferwire.io/expose': 'false' } })
  cluster.put('other', 'iris')
  const { cards } = await start()
  expect(cards.map(({ name }) => name).sort()).toEqual(['iris', 'iris.vision'])
  expect(await ask('iris.vision')).toEqual({ predictions: [1] })
  expect(cluster.calls).toContain('iris-vision.example.com/v1/models/iris:predict')
  await expect.poll(() => card('iris'), poll).toMatchObject({ state: 'ready', connector: 'edge' })

  cluster.put('vision', 'defects')
  await expect.poll(() => card('defects.vision'), poll).toMatchObject({ state: 'ready' })
  expect(await ask('defects.vision')).toEqual({ predictions: [1] })

  cluster.put('vision', 'defects', { isReady: false })
  const reason = 'its condition PredictorReady is False (MinimumReplicasUnavailable)'
  await expect.poll(() => card('defects.vision'), poll).toMatchObject({ state: 'not_ready', reason })
  expect(await ask('defects.vision')).toMatchObject({ code: 'model_not_ready' })
  await expect.poll(discoveryStatus, poll).toEqual({
    namespaces: ['models', 'vision'],
    default_namespace: 'models',
    ready: 2,
    not_ready: 1,
    stopped: 0,
    refused: 0,
  })

  cluster.api.delete('vision', 'defects')
  await expect.poll(() => card('defects.vision'), poll).toBe('')
  expect(await ask('defects.vision')).toMatchObject({ code: 'model_not_found' })
})

test('prefers a configured model, and exposes the discovered one when it is removed', async () => {
  cluster.put('models', 'iris')
  const models = { iris: { url: cluster.discovery.gateway!.url!, protocolVersion: 'v1' as const } }
  const { reload } = bound(await start(configOf({}, { models })))
  await expect.poll(() => messagesOf('object_refused'), poll).toHaveLength(1)
  expect(messagesOf('object_refused')[0]).toMatch('because models.iris has its name "iris"')
  expect(await ask('iris')).toEqual({ predictions: [1] })
  expect(cluster.calls.at(-1)).not.toMatch('iris-models.example.com')
  await expect.poll(discoveryStatus, poll).toMatchObject({ ready: 0, refused: 1 })

  reload(configOf())
  expect(await ask('iris')).toEqual({ predictions: [1] })
  expect(cluster.calls.at(-1)).toMatch('iris-models.example.com')
  await expect.poll(discoveryStatus, poll).toMatchObject({ ready: 1, refused: 0 })

  reload(configOf({}, { models }))
  await expect.poll(discoveryStatus, poll).toMatchObject({ ready: 0, refused: 1 })
  expect(await ask('iris')).toEqual({ predictions: [1] })
  cluster.api.delete('models', 'iris')
  await expect.poll(discoveryStatus, poll).toMatchObject({ refused: 0 })
  expect(await ask('iris')).toEqual({ predictions: [1] })
})

test('counts the models and the refused objects in the metrics', async () => {
  cluster.put('models', 'iris')
  cluster.put('models', 'digits', { isReady: false })
  cluster.put('models', 'wrong', { annotations: { 'inferwire.io/timeout-ms': 'soon' } })
  const { adminUrl } = await start(configOf({}, { admin: { enabled: true, port: 0 } }))
  const text = await (await fetch(`${adminUrl}/metrics`)).text()
  expect(text.split('\n').filter((line) => line.startsWith('inferwire_discover'))).toEqual([
    'inferwire_discovered_models{state="ready"} 1',
    'inferwire_discovered_models{state="not_ready"} 1',
    'inferwire_discovered_models{state="stopped"} 0',
    'inferwire_discovery_refused_objects{reason="annotation"} 1',
  ])
})

test('starts without the API server, and exposes the models as soon as it answers', async () => {
  cluster.put('models', 'iris')
  await cluster.api.stop()
  await start()
  expect(messagesOf('discovery_failing')[0]).toMatch('inferenceservices of the namespace "models"')
  await cluster.api.start()
  await expect.poll(() => card('iris'), poll).toMatchObject({ state: 'ready' })
})

test('clears the cards of models that were deleted while the connector was stopped', async () => {
  cluster.put('models', 'iris')
  cluster.put('models', 'digits')
  const { stop } = bound(await start())
  await expect.poll(() => card('iris'), poll).toMatchObject({ state: 'ready' })
  await expect.poll(() => card('digits'), poll).toMatchObject({ state: 'ready' })
  await stop()
  cluster.api.delete('models', 'iris')
  await start()
  await expect.poll(() => card('iris'), poll).toBe('')
  expect(card('digits')).toMatchObject({ state: 'ready' })
})

test('logs the missing Role if the API server refuses access', async () => {
  cluster.api.refuse = (request) => (request.url!.includes('/namespaces/vision/') ? 403 : undefined)
  cluster.put('models', 'iris')
  await start()
  expect(messagesOf('discovery_forbidden')).toHaveLength(1)
  expect(messagesOf('discovery_forbidden')[0]).toMatch(
    'Grant the verbs get, list and watch for inferenceservices.serving.kserve.io to the connector\'s ServiceAccount with a Role in the namespace "vision"',
  )
  expect(await ask('iris')).toEqual({ predictions: [1] })
})

test('sends a credential only if the operator allows it for discovered models, and only to its origins', async () => {
  const tokenFile = `${cluster.discovery.kubeconfig!}-token`
  writeFileSync(tokenFile, 'secret')
  const credentialOf = (origin: string): ConfigInput['credentials'] => ({
    gateway: { kind: 'token-file', tokenFile, origins: [origin] },
  })
  const url = new URL(cluster.discovery.gateway!.url!).origin
  cluster.put('models', 'iris', { annotations: { 'inferwire.io/credential': 'gateway' } })
  cluster.put('models', 'digits', { annotations: { 'inferwire.io/credential': 'other' } })
  const { reload } = bound(
    await start(configOf({ credentials: ['gateway'] }, { credentials: credentialOf('https://elsewhere') })),
  )
  await expect.poll(() => messagesOf('object_refused'), poll).toHaveLength(2)
  expect(messagesOf('object_refused').toSorted(byText)).toEqual([
    expect.stringContaining(
      `InferenceService "models/iris" is not exposed: its credential "gateway" may not be sent to "${url}"`,
    ),
    expect.stringContaining('"models/digits" is "other", which is not in discovery.credentials'),
  ])
  expect(await ask('iris')).toMatchObject({ code: 'model_not_found' })
  reload(configOf({ credentials: ['gateway'] }, { credentials: credentialOf(url) }))
  expect(await ask('iris')).toEqual({ predictions: [1] })
  expect(cluster.tokens.at(-1)).toBe('Bearer secret')
})

test('reports that the cluster cannot be reached with this configuration', async () => {
  const config = configOf({ context: 'other' })
  const close = vi.spyOn(ModelRegistry.prototype, 'close')
  await expect(startConnector(config)).rejects.toThrow('discovery.kubeconfig: the cluster cannot be reached')
  // Otherwise the queries of configured models would continue.
  expect(close).toHaveBeenCalledOnce()
  close.mockRestore()
})

function bound(of: Connector): Pick<Connector, 'reload' | 'stop'> {
  return { reload: (config) => of.reload(config), stop: () => of.stop() }
}
