// Tests the judgements of the checks of a cluster. The statuses are those that KServe 0.20 writes.
import type { KubeObject } from '@inferwire/connector'
import { expect, test } from 'vitest'
import { readService, type FoundService } from './inference-service.ts'
import { judgeMesh, meshModeOf } from './mesh.ts'
import { judgeAuthorization, judgeNetwork } from './policies.ts'
import { judgeRights } from './rights.ts'
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

function right(verb: string, resource = 'inferenceservices') {
  return { verb, group: '', resource }
}

test('the rights of the ServiceAccount: missing and excessive ones', () => {
  const account = { namespace: 'inferwire', name: 'inferwire' }
  const needed = [right('get'), right('list'), right('watch')]
  expect(judgeRights({ account }, 'models', needed, [])).toMatchObject([{ state: 'ok' }])
  const [missing, more] = judgeRights({ account }, 'models', [right('get')], [right('get', 'secrets')])
  expect(missing).toMatchObject({
    state: 'fault',
    message: expect.stringContaining('may not list, watch') as string,
  })
  expect(missing!.remedy).toContain('--serviceaccount=inferwire:inferwire')
  expect(more).toMatchObject({ state: 'warning', message: expect.stringContaining('get secrets') as string })
})

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

const DENY_ALL = policy('global-deny-all', {}, 'istio-system')
const from = (source: object) => [{ from: [{ source }] }]
const PRINCIPAL = { principals: ['cluster.local/ns/inferwire/sa/inferwire'] }
const OWNER = {
  rules: [
    {
      ...from({ principals: ['cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account'] })[0],
      when: [{ key: 'request.headers[kubeflow-userid]', values: ['alice@example.com'] }],
    },
    ...from({ namespaces: ['models'] }),
  ],
}

test.each([
  ['no policies', [], true],
  ['a mesh-wide policy without rules', [DENY_ALL], false],
  ['a policy for the connector', [DENY_ALL, policy('p', { rules: from(PRINCIPAL) })], true],
  [
    'a policy for the connector that selects the pods',
    [
      DENY_ALL,
      policy('p', {
        selector: { matchLabels: { 'serving.kserve.io/inferenceservice': 'iris' } },
        rules: from(PRINCIPAL),
      }),
    ],
    true,
  ],
  [
    'a policy for the connector that selects other pods',
    [DENY_ALL, policy('p', { selector: { matchLabels: { app: 'other' } }, rules: from(PRINCIPAL) })],
    false,
  ],
  [
    'a policy for another ServiceAccount',
    [policy('p', { rules: from({ principals: ['cluster.local/ns/a/sa/b'] }) })],
    false,
  ],
  [
    "a policy for the connector's namespace",
    [policy('p', { rules: from({ namespaces: ['inferwire'] }) })],
    true,
  ],
  ['a policy for all callers', [policy('p', { rules: [{}] })], true],
  [
    'a policy with a prefix',
    [policy('p', { rules: from({ principals: ['cluster.local/ns/inferwire/*'] }) })],
    true,
  ],
  ["the policy of a Kubeflow profile's owner", [policy('ns-owner-access-istio', OWNER)], false],
  [
    'a policy for probes only',
    [policy('p', { rules: [{ to: [{ operation: { paths: ['/metrics'] } }] }] })],
    false,
  ],
  [
    'a policy that denies the connector',
    [policy('p', { rules: [{}] }), policy('d', { action: 'DENY', rules: from(PRINCIPAL) })],
    false,
  ],
  ['an audit policy', [policy('p', { action: 'AUDIT', rules: from(PRINCIPAL) })], true],
  ['a policy of another namespace', [policy('p', {}, 'other')], true],
])('AuthorizationPolicies: %s', (_name, policies, isAllowed) => {
  const [finding] = judgeAuthorization(CLUSTER, [service()], policies, () => false)
  expect(finding!.state).toBe(isAllowed ? 'ok' : 'fault')
})

test('the generated AuthorizationPolicy lets the connector reach the model, and nothing else', () => {
  const [finding] = judgeAuthorization(CLUSTER, [service()], [DENY_ALL], () => false)
  expect(finding!.remedy).toContain('principals:\n              - cluster.local/ns/inferwire/sa/inferwire')
  expect(finding!.remedy).toContain('serving.kserve.io/inferenceservice: iris')
  expect(finding!.remedy).not.toContain('kind: NetworkPolicy')
})

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
