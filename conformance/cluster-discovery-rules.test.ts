// Tests discovery's rules with a real API server and KServe's controller, without a node: who is exposed, under which
// name, with which permissions, and with 1,000 InferenceServices.
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { ConfigInput } from '@inferwire/connector'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { CardWatch } from './cluster/card-watch.ts'
import { createAccount, permitDiscovery } from './cluster/discovery-account.ts'
import type { KubeObject } from './cluster/kube-api.ts'
import { startKserveCluster, type KserveCluster } from './cluster/kserve-cluster.ts'
import { InferenceServices, sklearnSpec, withoutPods } from './cluster/kserve/inference-services.ts'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { tempFolder } from './fixtures/temp-folder.ts'

const EXPOSE = { 'inferwire.io/expose': 'true' }
// The domain in KServe's configuration.
const DOMAIN = 'example.com'
const MANY = 1_000
const AT_ONCE = 32
const MINUTE_MS = 60_000
const poll = { timeout: 30_000, interval: 20 }

let cluster: KserveCluster
let broker: Mosquitto
let models: InferenceServices
let vision: InferenceServices
let client: TestClient
let cards: CardWatch
let running: TestConnector | undefined
/** Kubeconfigs: one may read all namespaces, the other only `models`. */
let everywhere: string
let onlyModels: string
let gateway: Server

beforeAll(async () => {
  cluster = await startKserveCluster('minimal')
  const { api } = cluster.plane
  broker = await startMosquitto()
  for (const name of ['models', 'vision']) {
    await api.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  }
  models = new InferenceServices(api, 'models')
  vision = new InferenceServices(api, 'vision')
  everywhere = await kubeconfigOf('everywhere')
  await permitDiscovery(api, { name: 'everywhere', namespace: 'default' })
  onlyModels = await kubeconfigOf('only-models')
  await permitDiscovery(api, { name: 'only-models', namespace: 'default' }, 'models')
  gateway = await startGateway()
  client = await TestClient.connect(broker.url)
  await client.subscribe('infer/reply/#')
  cards = await CardWatch.start(client)
})

afterEach(async () => {
  await running?.connector.stop()
  running = undefined
})

afterAll(async () => {
  await client?.close()
  gateway?.close()
  await broker?.stop()
  await cluster?.stop()
})

test('exposes only objects that ask for it, and follows the annotation', async () => {
  await start({ kubeconfig: everywhere, ...behindGateway() })
  await createReady(models, 'quiet', {})
  await createReady(models, 'iris', EXPOSE)
  await expect.poll(() => cards.state('iris'), poll).toBe('ready')
  expect(cards.newest.get('quiet')).toBeUndefined()
  expect(await codeOf('quiet')).toBe('model_not_found')
  await models.patch('quiet', { metadata: { annotations: EXPOSE } })
  await expect.poll(() => cards.state('quiet'), poll).toBe('ready')
  await models.patch('quiet', { metadata: { annotations: { 'inferwire.io/expose': 'false' } } })
  await expect.poll(() => cards.models, poll).toEqual(['iris'])
  expect(await codeOf('quiet')).toBe('model_not_found')
})

test('shows the state that the controller reports: not ready, stopped, ready again', async () => {
  await start({ kubeconfig: everywhere, ...behindGateway() })
  await expect.poll(() => cards.state('iris'), poll).toBe('ready')
  await models.markPods('iris', false)
  await expect.poll(() => cards.state('iris'), poll).toBe('not_ready')
  expect(cards.newest.get('iris')!.card!['reason']).toContain('MinimumReplicasUnavailable')
  expect(await codeOf('iris')).toBe('model_not_ready')
  await models.patch('iris', stopped('true'))
  await expect.poll(() => cards.state('iris'), poll).toBe('stopped')
  await models.patch('iris', stopped('false'))
  // The controller replaces the pods.
  const state = async (): Promise<unknown> => {
    await models.markPods('iris')
    return cards.state('iris')
  }
  await expect.poll(state, poll).toBe('ready')
})

test('gives each namespace its own names, and reports conflicts', async () => {
  await createReady(vision, 'iris', EXPOSE)
  await createReady(vision, 'defects', EXPOSE)
  const nodes = { root: { routerType: 'Sequence', steps: [{ serviceName: 'iris' }] } }
  await models.create('iris', { nodes }, { annotations: EXPOSE }, 'inferencegraphs')
  await start({
    kubeconfig: everywhere,
    ...behindGateway(),
    kinds: ['InferenceService', 'InferenceGraph'],
    aliases: { scratches: 'vision/defects' },
  })
  await expect.poll(() => cards.models.sort(), poll).toEqual(['iris', 'iris.vision', 'scratches'])
  await expect.poll(() => refusals(), poll).toHaveLength(1)
  expect(refusals()[0]).toMatch(
    /InferenceGraph "models\/iris" is not exposed, because InferenceService "models\/iris"/,
  )
  await models.delete('iris', 'inferencegraphs')
  await vision.delete('defects')
  await expect.poll(() => cards.models.sort(), poll).toEqual(['iris', 'iris.vision'])
})

test('reads one namespace if its permissions end there, and logs the missing Role for the other', async () => {
  await start({ kubeconfig: onlyModels, ...behindGateway(), namespaces: ['models', 'vision'] })
  await expect.poll(() => cards.models, poll).toEqual(['iris'])
  const missing = messages('discovery_forbidden')
  expect(missing).toHaveLength(1)
  expect(missing[0]).toContain('a Role in the namespace "vision"')
})

describe('without the controller, with statuses that a tenant has written', () => {
  beforeAll(async () => {
    await cluster.kserve.remove()
    for (const each of [models, vision]) await removeAll(each)
  })

  const HOSTILE = [
    'http://iris-predictor.models.svc.cluster.local',
    'http://169.254.169.254',
    'http://127.0.0.1:9090',
    'http://user:secret@bad-predictor.vision.svc.cluster.local',
    'http://bad-predictor.vision.svc.cluster.local/latest/meta-data',
    'http://bad-predictor.vision.svc.cluster.local:22',
    'http://bad-predictor.vision.svc.cluster.local.attacker.example',
    'http://other-predictor.vision.svc.cluster.local',
    'file:///etc/passwd',
    'http://[::1]',
    'x'.repeat(10_000),
  ]
  const HOSTILE_BEHIND_GATEWAY = [
    'http://iris-models.example.com',
    'http://bad-models.example.com',
    'http://bad-vision.example.com.attacker.example',
    'http://bad-vision.example.com/metrics',
    'http://169.254.169.254',
  ]
  const ANNOTATIONS: Record<string, string>[] = [
    { 'inferwire.io/model': '../../v2/models/other' },
    { 'inferwire.io/model': 'iris:predict?x=1' },
    { 'inferwire.io/protocol-version': 'v3' },
    { 'inferwire.io/timeout-ms': '-1' },
    { 'inferwire.io/timeout-ms': '1e9' },
    { 'inferwire.io/credential': 'operator' },
    { 'inferwire.io/expose': 'yes\u0000please' },
  ]

  test.each([
    ['a Service', HOSTILE, () => ({})],
    ['a gateway', HOSTILE_BEHIND_GATEWAY, behindGateway],
  ])('refuses hostile addresses of %s, and exposes the other models', async (_, urls, way) => {
    await start({ kubeconfig: everywhere, ...way() })
    for (const url of urls) {
      await createWritten(vision, 'bad', {}, { url, address: url })
      await createWritten(vision, 'good')
      await expect.poll(() => cards.models, poll).toEqual(['good.vision'])
      expect(refusals().at(-1), url).toMatch(
        /^The address ".*" in the status of InferenceService "vision\/bad"/,
      )
      expect(await codeOf('bad.vision'), url).toBe('model_not_found')
      await removeAll(vision)
      await expect.poll(() => cards.models, poll).toEqual([])
    }
    expect(refusals().length).toBeGreaterThanOrEqual(urls.length)
    expect(running!.log.join('\n')).not.toContain('x'.repeat(1000))
  })

  test('refuses hostile annotations, and exposes the other models', async () => {
    await start({ kubeconfig: everywhere, ...behindGateway() })
    await createWritten(vision, 'good')
    for (const [index, annotations] of ANNOTATIONS.entries()) {
      await createWritten(vision, `bad-${index}`, annotations)
    }
    await expect.poll(() => refusals().length, poll).toBeGreaterThanOrEqual(ANNOTATIONS.length)
    await expect.poll(() => cards.models, poll).toEqual(['good.vision'])
    await removeAll(vision)
    await expect.poll(() => cards.models, poll).toEqual([])
  })

  test('exposes 1,000 InferenceServices and forgets them within a minute', async () => {
    await start({ kubeconfig: everywhere, ...behindGateway() })
    const begun = performance.now()
    const names = Array.from({ length: MANY }, (_, index) => `m-${index}`)
    await inParallel(names, (name) => createWritten(vision, name))
    await expect.poll(() => cards.models.length, { ...poll, timeout: MINUTE_MS }).toBe(MANY)
    const createdMs = performance.now() - begun
    await removeAll(vision)
    await expect.poll(() => cards.models.length, { ...poll, timeout: MINUTE_MS }).toBe(0)
    const ms = performance.now() - begun
    console.log(
      `${MANY} InferenceServices: exposed after ${createdMs.toFixed(0)} ms, removed after ${ms.toFixed(0)} ms`,
    )
    expect(ms).toBeLessThan(MINUTE_MS)
    expect(await codeOf('m-7.vision')).toBe('model_not_found')
  })
})

async function start(discovery: NonNullable<ConfigInput['discovery']>): Promise<void> {
  cards.newest.clear()
  cards.seen.length = 0
  running = await runConnector({
    // All connectors have the same name: the offline status of another name would answer `model_not_ready`.
    name: 'edge',
    broker: { url: broker.url },
    discovery: { enabled: true, namespaces: ['*'], defaultNamespace: 'models', ...discovery },
  })
}

/** Creates an InferenceService, and lets the controller make it ready. */
async function createReady(
  services: InferenceServices,
  name: string,
  annotations: Readonly<Record<string, string>>,
): Promise<void> {
  await services.create(name, withoutPods(sklearnSpec()), { annotations })
  await services.markPods(name)
  await services.untilReady(name)
}

/** Creates an InferenceService with a written status. */
async function createWritten(
  services: InferenceServices,
  name: string,
  annotations: Readonly<Record<string, string>> = {},
  { url, address } = {
    url: `http://${name}-${services.namespace}.${DOMAIN}`,
    address: `http://${name}-predictor.${services.namespace}.svc.cluster.local`,
  },
): Promise<void> {
  await services.create(name, sklearnSpec(), { annotations: { ...EXPOSE, ...annotations } })
  const conditions = ['IngressReady', 'PredictorReady', 'Ready'].map((type) => ({ type, status: 'True' }))
  await services.patchStatus(name, { url, address: { url: address }, observedGeneration: 1, conditions })
}

/** Deletes all InferenceServices of a namespace. Removes the finalizer of the controller, which is gone. */
async function removeAll(services: InferenceServices): Promise<void> {
  const { api } = cluster.plane
  const { items } = await api.get(services.path(''))
  for (const { metadata } of items as KubeObject[]) {
    if (metadata.finalizers === undefined) continue
    await services.patch(metadata.name, { metadata: { finalizers: null } })
  }
  await api.delete(services.path(''))
}

function behindGateway(): NonNullable<ConfigInput['discovery']> {
  const { port } = gateway.address() as AddressInfo
  return { gateway: { url: `http://127.0.0.1:${port}`, domain: DOMAIN } }
}

/** Starts a gateway with a model server for every host, which answers every V1 and V2 call. */
async function startGateway(): Promise<Server> {
  const server = createServer((request, response) => {
    request.resume()
    response.setHeader('content-type', 'application/json').end('{"predictions":[1]}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items]
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

function stopped(value: string): KubeObject {
  return { metadata: { annotations: { 'serving.kserve.io/stop': value } } }
}

/** Asks a model; returns the code of the error. */
async function codeOf(model: string): Promise<unknown> {
  const reply = await client.ask(`infer/request/test/${model}/predict`, '{"instances":[[1,2,3,4]]}')
  return (reply.json() as { code?: unknown }).code
}

function messages(event: string): string[] {
  return running!.log
    .map((line) => JSON.parse(line) as { event?: string; msg: string })
    .filter((line) => line.event === event)
    .map(({ msg }) => msg)
}

function refusals(): string[] {
  return messages('object_refused')
}

async function kubeconfigOf(account: string): Promise<string> {
  const { api } = cluster.plane
  const file = join(tempFolder('kubeconfig'), account)
  const token = await createAccount(api, account, 'default')
  writeFileSync(file, cluster.plane.kubeconfigText(token), { mode: 0o600 })
  return file
}
