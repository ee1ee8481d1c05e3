// Tests the judgements of the checks of a cluster. The statuses are those that KServe 0.20 writes.
import type { KubeObject } from '@inferwire/connector'
import { expect, test } from 'vitest'
import { readService, type FoundService } from './inference-service.ts'
import { judgeMesh, meshModeOf } from './mesh.ts'
import { judgeNetwork } from './policies.ts'
import { judgeAddress, judgeServices } from './services.ts'

const READY = {
  address: { url: 'http://iris-predictor.models.svc.cluster.local' },
  conditions: [
    { type: 'IngressReady', status: 'True' },
    { type: 'PredictorReady', status: 'True', reason: 'NewReplicaSetAvailable' },
    { type: 'Ready', status: 'True' },
    { type: 'Stopped', status: 'False', severity: 'Info' },
  ],
  deploymentMode: 'Standard',
}

function object(name: string, status: unknown, more: object = {}): KubeObject {
  return { metadata: { name, namespace: 'models', uid: 'u', resourceVersion: '1', ...more }, status }
}

function service(name = 'iris', more: Partial<FoundService> = {}): FoundService {
  return { ...readService(object(name, READY)), ...more }
}

test('reads a ready InferenceService', () => {
  expect(readService(object('iris', READY))).toEqual({
    name: 'iris',
    namespace: 'models',
    isReady: true,
    reasons: [],
    address: 'iris-predictor.models.svc.cluster.local',
    mode: 'standard',
    isStopped: false,
  })
})

test.each([
  ['no status', undefined],
  ['a status of the wrong type', 'broken'],
  ['conditions of the wrong type', { conditions: { Ready: true } }],
  ['an address that is not a URL', { ...READY, conditions: [], address: { url: '::' } }],
])('an InferenceService with %s is not ready, and does not break the check', (_name, status) => {
  const found = readService(object('iris', status))
  expect(found.isReady).toBe(false)
  expect(judgeServices([found], 'models')).toMatchObject([{ state: 'fault' }])
})

test('names the cause of a failed model before the conditions', () => {
  const status = {
    conditions: [
      { type: 'PredictorReady', status: 'False', reason: 'MinimumReplicasUnavailable' },
      { type: 'Ready', status: 'False' },
    ],
    modelStatus: { lastFailureInfo: { reason: 'ModelLoadFailed', message: 'No such file\u001b[2J' } },
  }
  const [finding] = judgeServices([readService(object('iris', status))], 'models')
  expect(finding!.message).toBe(
    'InferenceService models/iris is not ready: ModelLoadFailed: No such file\ufffd[2J; PredictorReady (MinimumReplicasUnavailable); Ready.',
  )
})

test('a stopped InferenceService is a warning with the command that starts it', () => {
  const status = { conditions: [{ type: 'Stopped', status: 'True' }] }
  expect(judgeServices([readService(object('iris', status))], 'models')).toMatchObject([
    { state: 'warning', remedy: expect.stringContaining('serving.kserve.io/stop-') as string },
  ])
})

test.each([
  ['Knative', 'knative'],
  ['Serverless', 'knative'],
  ['RawDeployment', 'standard'],
])('reads the deployment mode %s', (annotation, mode) => {
  const annotations = { 'serving.kserve.io/deploymentMode': annotation }
  expect(readService(object('iris', {}, { annotations })).mode).toBe(mode)
})

test.each([
  ['the address', 'http://iris-predictor.models.svc.cluster.local', 'ok', ''],
  ['a short form of the address', 'http://iris-predictor.models.svc:80', 'ok', ''],
  ['another Service of it', 'http://iris-transformer.models.svc', 'warning', 'http://iris-predictor.models'],
  ['a similar name', 'http://irs-predictor.models.svc', 'fault', 'http://iris-predictor.models'],
  ['a name that only begins alike', 'http://iris-v2-predictor.models.svc', 'fault', 'models.m.url'],
])('a URL with %s', (_name, url, state, remedy) => {
  const [finding] = judgeAddress('m', { url, host: undefined }, [service()], ['models'])
  expect(finding).toMatchObject({ state })
  expect(finding!.remedy ?? '').toContain(remedy)
})

test.each(['http://10.0.0.1:8080', 'http://model.example', 'http://iris.other.svc'])(
  'a URL outside the namespaces is not judged: %s',
  (url) => {
    expect(judgeAddress('m', { url, host: undefined }, [service()], ['models'])).toEqual([])
  },
)

const pod = (...names: string[]): KubeObject => ({
  ...object('pod', {}),
  spec: { containers: names.map((name) => ({ name })) },
})

test.each([
  [{ 'istio.io/dataplane-mode': 'ambient' }, [pod('main')], 'ambient'],
  [{ 'istio-injection': 'enabled' }, [], 'sidecar'],
  [{ 'istio-injection': 'enabled' }, [pod('main')], 'none'],
  [{}, [pod('main', 'istio-proxy')], 'sidecar'],
  [{}, [{ ...pod('main'), spec: { initContainers: [{ name: 'istio-proxy' }] } }], 'sidecar'],
  [{}, [], 'none'],
])('the mesh mode with the labels %j', (labels, pods, mode) => {
  expect(meshModeOf(labels as Record<string, string>, pods)).toBe(mode)
})

test('a connector outside the mesh is a fault only if the models are inside', () => {
  expect(judgeMesh('inferwire', 'none', 'models', 'sidecar')).toMatchObject({ state: 'fault' })
  expect(judgeMesh('inferwire', 'none', 'models', 'ambient').remedy).toContain('dataplane-mode=ambient')
  expect(judgeMesh('inferwire', 'none', 'models', 'none')).toMatchObject({ state: 'ok' })
  expect(judgeMesh('inferwire', 'sidecar', 'models', 'sidecar')).toMatchObject({ state: 'ok' })
})

const CLUSTER = { account: { namespace: 'inferwire', name: 'inferwire' } }

function policy(name: string, spec: object, namespace = 'models'): KubeObject {
  return { metadata: { name, namespace, uid: 'u', resourceVersion: '1' }, spec }
}

const ISOLATED = policy('deny', { podSelector: {}, policyTypes: ['Ingress'] })
const accepting = (peer: object, ports: object = {}) =>
  policy('accept', { podSelector: {}, ingress: [{ from: [peer], ...ports }] })

test.each([
  ['no policies', [], true],
  ['a policy without rules', [ISOLATED], false],
  ['a policy for egress only', [policy('e', { podSelector: {}, policyTypes: ['Egress'] })], true],
  [
    'a policy for other pods',
    [policy('o', { podSelector: { matchLabels: { app: 'x' } }, policyTypes: ['Ingress'] })],
    true,
  ],
  ['a rule for all namespaces', [ISOLATED, accepting({ namespaceSelector: {} })], true],
  [
    "a rule for the connector's namespace",
    [
      ISOLATED,
      accepting({ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'inferwire' } } }),
    ],
    true,
  ],
  [
    "a rule for a label of the connector's namespace",
    [
      ISOLATED,
      accepting({
        namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'In', values: ['edge'] }] },
      }),
    ],
    true,
  ],
  [
    'a rule for another namespace',
    [ISOLATED, accepting({ namespaceSelector: { matchLabels: { team: 'x' } } })],
    false,
  ],
  ['a rule for pods of the same namespace', [ISOLATED, accepting({ podSelector: {} })], false],
  ['a rule for all sources', [policy('all', { podSelector: {}, ingress: [{}] })], true],
])('NetworkPolicies: %s', (_name, policies, isAccepted) => {
  const [finding] = judgeNetwork(CLUSTER, [service()], policies, { team: 'edge' })
  expect(finding!.state).toBe(isAccepted ? 'ok' : 'fault')
  if (!isAccepted) expect(finding!.remedy).toContain('kubernetes.io/metadata.name: inferwire')
})
