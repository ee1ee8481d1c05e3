// Lets a connector in a pod find the InferenceServices of KServe's own controller, in Standard and in Knative mode.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CardWatch, watchServices, type ServiceTimes } from './cluster/card-watch.ts'
import { startCluster, type Cluster } from './cluster/cluster.ts'
import { KSERVE_RESOURCES, tokenOf } from './cluster/discovery-account.ts'
import type { KubeApi } from './cluster/kube-api.ts'
import { InferenceServices, sklearnSpec } from './cluster/kserve/inference-services.ts'
import { PageReader } from './cluster/page-commands.ts'
import { collections, outcome } from './cluster/permissions.ts'
import { startKnativeController } from './cluster/stand-ins/knative-controller.ts'
import { TestClient } from './fixtures/mqtt-client.ts'

const ALICE = { username: 'alice', password: 'alice-password' }
const IRIS = '{"instances":[[6.8,2.8,4.8,1.4]]}'
const EXPOSE = { 'inferwire.io/expose': 'true' }
const WITHIN_MS = 1_000
const SMALL = {
  model: { resources: { requests: { cpu: '100m', memory: '256Mi' }, limits: { cpu: '1', memory: '1Gi' } } },
}
const poll = { timeout: 60_000, interval: 20 }

let cluster: Cluster
let reader: PageReader
let services: InferenceServices
let alice: TestClient
let cards: CardWatch
let times: ServiceTimes
const stopping = new AbortController()

beforeAll(async () => {
  cluster = await startCluster()
  reader = new PageReader(cluster.env)
  await cluster.kserve.addKnative()
  await startKnativeController(cluster.api, stopping.signal)
  await install()
  services = new InferenceServices(cluster.api, 'models')
  times = await watchServices(cluster.api, services.path(''), stopping.signal)
  const { spec } = await cluster.api.get('/api/v1/namespaces/mosquitto/services/mosquitto')
  alice = await TestClient.connect(`mqtt://${spec.clusterIP}:1883`, ALICE)
  await alice.subscribe('infer/reply/alice/#')
  cards = await CardWatch.start(alice)
})

afterAll(async () => {
  await alice?.close()
  stopping.abort()
  await cluster?.stop()
})

describe.each([
  ['Standard', 'iris'],
  ['Knative', 'flowers'],
])('an InferenceService in %s mode', (mode, name) => {
  test('gets a card and answers an MQTT client within a second of its readiness', async () => {
    const annotations = { ...EXPOSE, 'serving.kserve.io/deploymentMode': mode }
    await services.create(name, sklearnSpec(SMALL), { annotations })
    await expect.poll(() => cards.state(name), poll).toBe('ready')
    const reply = await alice.ask(`infer/request/alice/${name}/predict`, IRIS)
    expect(reply.json(), cluster.report()).toEqual({ predictions: [1] })
    const ready = cards.seen.find(({ model, card }) => model === name && card?.['state'] === 'ready')!
    report(mode, 'card', ready.atMs - times.readyMs.get(name)!)
  })

  test('loses its card within a second of its deletion, and is then unknown', async () => {
    await services.delete(name)
    await expect.poll(() => cards.newest.get(name)!.card, poll).toBeUndefined()
    await services.untilGone(name)
    report(mode, 'removal', cards.newest.get(name)!.atMs - times.deletedMs.get(name)!)
    const reply = await alice.ask(`infer/request/alice/${name}/predict`, IRIS)
    expect(reply.json()).toMatchObject({ code: 'model_not_found' })
  })
})

test('a restart of the API server clears no card, and later changes are found', async () => {
  await services.create('rose', sklearnSpec(SMALL), { annotations: EXPOSE })
  await expect.poll(() => cards.state('rose'), poll).toBe('ready')
  const before = cards.seen.length
  await cluster.plane.restartApiServer(async () => {
    const reply = await alice.ask('infer/request/alice/rose/predict', IRIS)
    expect(reply.json()).toEqual({ predictions: [1] })
  })
  await services.patch('rose', { metadata: { annotations: { 'inferwire.io/expose': 'false' } } })
  await expect.poll(() => cards.newest.get('rose')!.card, poll).toBeUndefined()
  await services.patch('rose', { metadata: { annotations: EXPOSE } })
  await expect.poll(() => cards.state('rose'), poll).toBe('ready')
  const cleared = cards.seen.slice(before).filter(({ card }) => card === undefined)
  expect(cleared).toHaveLength(1)
})

describe("the connector's ServiceAccount", () => {
  let account: KubeApi

  beforeAll(async () => {
    account = cluster.api.as(await tokenOf(cluster.api, 'inferwire', 'inferwire'))
  })

  afterAll(() => account.close())

  test("can read KServe's kinds, and nothing else", async () => {
    const allowed: string[] = []
    let refused = 0
    for (const path of await collections(cluster.api, ['inferwire', 'models'])) {
      if ((await outcome(account.get(path))) === 'done') allowed.push(path)
      else refused += 1
    }
    const kinds = new Set(allowed.map((path) => path.split('/').at(-1)))
    expect(kinds).toEqual(new Set(KSERVE_RESOURCES))
    expect(allowed.every((path) => path.startsWith('/apis/serving.kserve.io/'))).toBe(true)
    expect(refused).toBeGreaterThan(100)
  })

  test('can write nothing', async () => {
    const rose = services.path('rose')
    const core = '/api/v1/namespaces/models'
    const attempts = [
      account.create(services.path(''), forged('serving.kserve.io/v1beta1', 'InferenceService')),
      account.patch(rose, { metadata: { labels: { a: 'b' } } }),
      account.patch(`${rose}/status`, { status: {} }),
      account.call('PUT', rose, forged('serving.kserve.io/v1beta1', 'InferenceService')),
      account.delete(rose),
      account.delete(services.path('')),
      account.get(`${core}/secrets/any`),
      account.get(`${core}/pods/any/log`),
      account.create(`${core}/pods`, forged('v1', 'Pod')),
      account.create(`${core}/pods/any/exec?command=sh`, {}),
      account.create('/api/v1/namespaces/inferwire/serviceaccounts/inferwire/token', {
        ...forged('authentication.k8s.io/v1', 'TokenRequest'),
        spec: {},
      }),
      account.patch('/api/v1/namespaces/inferwire/configmaps/inferwire-config', { data: {} }),
      account.get('/api/v1/namespaces/inferwire/secrets/inferwire-broker'),
      account.create('/apis/rbac.authorization.k8s.io/v1/clusterroles', {
        ...forged('rbac.authorization.k8s.io/v1', 'ClusterRole'),
        rules: [],
      }),
      account.get('/metrics'),
      account.get('/api/v1/nodes/node'),
    ]
    expect(await Promise.all(attempts.map(outcome))).toEqual(attempts.map(() => 403))
  })
})

function forged(apiVersion: string, kind: string): object {
  return { apiVersion, kind, metadata: { name: 'forged' } }
}

async function install(): Promise<void> {
  const kinds = ['InferenceService', 'InferenceGraph', 'TrainedModel', 'LLMInferenceService']
  const config = { discovery: { enabled: true, namespaces: ['*'], defaultNamespace: 'models', kinds } }
  writeFileSync(join(reader.folder, 'config.yaml'), JSON.stringify(config))
  await typeAll([
    ...['mosquitto', 'inferwire', 'models'].map((name) => `kubectl create ns ${name}`),
    'npx inferwire passwd -c -b credentials.txt inferwire connector-password',
    `npx inferwire passwd -b credentials.txt ${ALICE.username} ${ALICE.password}`,
    'kubectl create secret generic inferwire-broker -n inferwire --from-literal=password=connector-password',
    'npx inferwire manifests --expose none -c config.yaml --password-file credentials.txt > objects.yaml',
    'kubectl apply -f objects.yaml',
    'kubectl rollout status statefulset/inferwire -n inferwire --timeout=60s',
  ])
}

async function typeAll(lines: readonly string[]): Promise<void> {
  for (const line of lines) {
    const { code, stderr } = await reader.type(line)
    expect(code, `${line}\n${stderr}\n${cluster.report()}`).toBe(0)
  }
}

function report(mode: string, what: string, ms: number): void {
  console.log(`${mode}: the ${what} arrived ${ms.toFixed(0)} ms after the change in the API`)
  expect(ms).toBeLessThan(WITHIN_MS)
}
