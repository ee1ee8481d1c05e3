// Compares the objects that KServe's controller writes with the recorded objects in packages/connector, which the unit
// tests of discovery use. To record them again: npx vitest run --project cluster conformance/cluster-kserve.test.ts -u
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { KubeObject } from './cluster/kube-api.ts'
import { startKserveCluster, type KserveCluster } from './cluster/kserve-cluster.ts'
import {
  InferenceServices,
  isTrue,
  sklearnSpec,
  withoutPods,
  type KserveKind,
  type ObjectOptions,
} from './cluster/kserve/inference-services.ts'

const RECORDED = fileURLToPath(
  new URL('../packages/connector/src/discovery/testing/recorded', import.meta.url),
)
const STOP = { 'serving.kserve.io/stop': 'true' }
const KNATIVE = { annotations: { 'serving.kserve.io/deploymentMode': 'Knative' } }
const SMALL = { requests: { cpu: '100m', memory: '128Mi' }, limits: { cpu: '1', memory: '1Gi' } }

// Longer than the controller takes for all its writes, so that a new recording is complete.
const SETTLED_MS = 10_000

let cluster: KserveCluster
let services: InferenceServices

beforeAll(async () => {
  cluster = await startKserveCluster()
  const { api } = cluster.plane
  await api.create('/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'models' },
  })
  services = new InferenceServices(api, 'models')
})

afterAll(async () => {
  await cluster?.stop()
})

describe('KServe 0.20.0 in Standard mode', () => {
  test('gives no address to an InferenceService that was never ready', async () => {
    await services.create('iris', withoutPods(sklearnSpec()))
    await isRecorded('never-ready', 'iris', isObserved)
  })

  test('writes the addresses when the InferenceService becomes ready', async () => {
    await services.markPods('iris')
    await isRecorded('ready', 'iris', isLoaded)
  })

  test('keeps the addresses when the InferenceService is not ready any more', async () => {
    await services.markPods('iris', false)
    await isRecorded('not-ready-any-more', 'iris', (object) => !isTrue(object, 'Ready'))
    await services.markPods('iris')
    await services.untilReady('iris')
  })

  test('removes the addresses of a stopped InferenceService', async () => {
    await services.patch('iris', { metadata: { annotations: STOP } })
    await isRecorded('stopped', 'iris', (object) => isTrue(object, 'Stopped'))
  })

  const ready: [string, string, KubeObject, ObjectOptions?][] = [
    ['v2', 'v2', sklearnSpec({ model: { protocolVersion: 'v2' } })],
    ['batcher', 'batched', sklearnSpec({ batcher: { maxBatchSize: 32, maxLatency: 500 } })],
    ['gRPC', 'grpc', tritonSpec([{ name: 'h2c', containerPort: 9000, protocol: 'TCP' }])],
    ['gRPC, but no port for it', 'grpc-without-port', tritonSpec(undefined)],
    ['custom container', 'custom', customSpec()],
    ['explainer', 'explained', { ...sklearnSpec(), explainer: container('example/explainer:1') }],
    ['transformer', 'transformed', { ...sklearnSpec(), transformer: container('example/transformer:1') }],
    [
      'cluster-local label',
      'local',
      sklearnSpec(),
      { labels: { 'networking.kserve.io/visibility': 'cluster-local' } },
    ],
  ]
  test.each(ready)('makes an InferenceService ready: %s', async (_, name, spec, options) => {
    await services.create(name, withoutPods(spec), options)
    await services.markPods(name, true, Object.keys(spec).length)
    await isRecorded(name, name, isLoaded)
  })

  test('reports a model that cannot be loaded', async () => {
    await services.create('broken', withoutPods(sklearnSpec()))
    await services.failPods('broken')
    await isRecorded(
      'failed-to-load',
      'broken',
      ({ status }) => status?.modelStatus?.transitionStatus === 'BlockedByFailedLoad',
    )
  })

  test('reports a model for which there is no runtime', async () => {
    await services.create('odd', withoutPods(sklearnSpec({ model: { modelFormat: { name: 'odd' } } })))
    await isRecorded(
      'no-runtime',
      'odd',
      ({ status }) => status?.modelStatus?.transitionStatus === 'InvalidSpec',
    )
  })

  test('makes a TrainedModel and an InferenceGraph ready', async () => {
    const model = {
      modelFormat: { name: 'sklearn' },
      protocolVersion: 'v2',
      storageUri: null,
      resources: SMALL,
    }
    await services.create('many', withoutPods({ predictor: { model } }))
    await services.markPods('many')
    await services.untilReady('many')
    const trained = {
      inferenceService: 'many',
      model: { framework: 'sklearn', memory: '256Mi', storageUri: 'gs://example-bucket/models/extra' },
    }
    await services.create('extra', trained, {}, 'trainedmodels')
    await isRecorded('trained-model', 'extra', isReady, 'trainedmodels')
    const steps = [{ serviceName: 'many' }, { serviceName: 'v2', data: '$response' }]
    const nodes = { root: { routerType: 'Sequence', steps } }
    await services.create('chain', { nodes }, {}, 'inferencegraphs')
    await isRecorded('inference-graph', 'chain', isReady, 'inferencegraphs')
  })
})

describe('KServe 0.20.0 in Knative mode', () => {
  test('cannot make an InferenceService ready without Knative', async () => {
    await services.create('no-knative', sklearnSpec(), KNATIVE)
    await isRecorded('knative-missing', 'no-knative', ({ status }) => status?.conditions !== undefined)
  })

  test('writes the addresses when the Knative Service is ready', async () => {
    await cluster.kserve.addKnative()
    await services.create('serverless', sklearnSpec({ minReplicas: 0 }), KNATIVE)
    await services.markKnativeService('serverless-predictor')
    await isRecorded('knative-ready', 'serverless', isReady)
  })
})

test('deletes a ready InferenceService: first a deletion timestamp, then the object', async () => {
  const events: KubeObject[] = []
  const stopping = new AbortController()
  const gone = new Promise<void>((resolve) => {
    void cluster.plane.api.watch(services.path(''), stopping.signal, (object, isDeleted) => {
      if (object.metadata.name !== 'v2') return
      events.push(object)
      if (isDeleted) resolve()
    })
  })
  await services.untilReady('v2')
  await services.delete('v2')
  await gone
  stopping.abort()
  const deleting = events.find(({ metadata }) => metadata.deletionTimestamp !== undefined)
  expect(isTrue(deleting, 'Ready')).toBe(true)
  await expect(textOf(deleting)).toMatchFileSnapshot(join(RECORDED, 'deleting.json'))
})

function isObserved({ status }: KubeObject): boolean {
  return status?.observedGeneration !== undefined
}

function isReady(object: KubeObject): boolean {
  return isTrue(object, 'Ready')
}

function isLoaded(object: KubeObject): boolean {
  return isTrue(object, 'Ready') && object.status.modelStatus.transitionStatus === 'UpToDate'
}

function tritonSpec(ports: KubeObject): KubeObject {
  const model = {
    modelFormat: { name: 'triton' },
    protocolVersion: 'grpc-v2',
    storageUri: 'gs://example-bucket/models/triton',
    ...(ports === undefined ? {} : { ports }),
  }
  return { predictor: { model } }
}

function customSpec(): KubeObject {
  const port = { containerPort: 9999, name: 'http1', protocol: 'TCP' }
  return {
    predictor: { containers: [{ name: 'kserve-container', image: 'example/model:1', ports: [port] }] },
  }
}

function container(image: string): KubeObject {
  return { containers: [{ name: 'kserve-container', image }] }
}

/** Waits until the object is in the expected state and equals its recording. The controller writes in several steps. */
async function isRecorded(
  file: string,
  name: string,
  isRight: (object: KubeObject) => boolean,
  kind?: KserveKind,
): Promise<void> {
  let object = await services.until(name, isRight, kind)
  const path = join(RECORDED, `${file}.json`)
  const recorded = existsSync(path) ? readFileSync(path, 'utf8') : ''
  for (const until = Date.now() + SETTLED_MS; textOf(object) !== recorded; await delay(100)) {
    if (Date.now() > until) break
    object = await services.get(name, kind)
  }
  await expect(textOf(object)).toMatchFileSnapshot(path)
}

// Removes the members that differ in every run.
function textOf(object: KubeObject): string {
  const { managedFields: _, ...metadata } = object.metadata
  const text = JSON.stringify({ ...object, metadata }, null, 2)
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, '2026-12-01T10:00:00Z')
    .replaceAll(/"(uid|resourceVersion)": "[^"]*"/g, '"$1": "1"')
    .replaceAll(/(-predictor|-transformer|-explainer|chain)-[0-9a-f]{8,10}\b/g, '$1-1')
  return `${text}\n`
}
