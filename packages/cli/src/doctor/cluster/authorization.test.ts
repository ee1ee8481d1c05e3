// Tests the judgement of AuthorizationPolicies. The policies are those of Kubeflow, of users, and the generated ones.
import { loadConfig, type ConfigInput, type KubeObject } from '@inferwire/connector'
import { manifestParts } from '@inferwire/kubernetes'
import { expect, test } from 'vitest'
import { tokenOwnerOf, type TokenOwner } from './callers.ts'
import type { FoundService } from './inference-service.ts'
import { judgeAuthorization } from './policies.ts'

const CLUSTER = { account: { namespace: 'inferwire', name: 'inferwire' } }
const SERVICE: FoundService = {
  name: 'iris',
  namespace: 'models',
  isReady: true,
  reasons: [],
  address: 'iris-predictor.models.svc.cluster.local',
  mode: 'standard',
  isStopped: false,
}

function judge(policies: readonly KubeObject[], token: TokenOwner = 'none', mode = SERVICE.mode) {
  return judgeAuthorization(CLUSTER, [{ ...SERVICE, mode }], policies, { token, isAmbient: () => false })
}

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
  const [finding] = judge(policies)
  expect(finding!.state).toBe(isAllowed ? 'ok' : 'fault')
})

test('the generated AuthorizationPolicy lets the connector reach the model, and nothing else', () => {
  const [finding] = judge([DENY_ALL])
  expect(finding!.remedy).toContain('principals:\n              - cluster.local/ns/inferwire/sa/inferwire')
  expect(finding!.remedy).toContain('serving.kserve.io/inferenceservice: iris')
  expect(finding!.remedy).not.toContain('kind: NetworkPolicy')
})

const MINE = { from: from(PRINCIPAL)[0]!.from }

test.each([
  ['notNamespaces of others', { rules: from({ notNamespaces: ['other'] }) }, 'ok'],
  ["notNamespaces of the connector's", { rules: from({ notNamespaces: ['inferwire'] }) }, 'fault'],
  ['notPrincipals of others', { rules: from({ notPrincipals: ['*/sa/default'] }) }, 'ok'],
  ['notPrincipals of all', { rules: from({ notPrincipals: ['*'] }) }, 'fault'],
  ['source.namespace', { rules: [{ when: [{ key: 'source.namespace', values: ['inferwire'] }] }] }, 'ok'],
  [
    'source.namespace, as in ns-owner-access-istio',
    { rules: [{ when: [{ key: 'source.namespace', values: ['models'] }] }] },
    'fault',
  ],
  [
    'source.namespace of others',
    { rules: [{ when: [{ key: 'source.namespace', notValues: ['other'] }] }] },
    'ok',
  ],
  ['addresses', { rules: from({ ipBlocks: ['10.0.0.0/8'] }) }, 'warning'],
  ['tokens', { rules: from({ requestPrincipals: ['*'] }) }, 'warning'],
  ['hosts', { rules: [{ ...MINE, to: [{ operation: { hosts: ['iris.example'] } }] }] }, 'warning'],
  ['ports', { rules: [{ ...MINE, to: [{ operation: { ports: ['8080'] } }] }] }, 'warning'],
  ['notPaths', { rules: [{ ...MINE, to: [{ operation: { notPaths: ['/v2/*'] } }] }] }, 'warning'],
  ['a path template', { rules: [{ ...MINE, to: [{ operation: { paths: ['/v2/{*}/m'] } }] }] }, 'warning'],
  ['a field with the name of a member of every object', { rules: from({ constructor: ['x'] }) }, 'warning'],
  ['another condition', { rules: [{ ...MINE, when: [{ key: 'request.time', values: ['1'] }] }] }, 'warning'],
  [
    'ports for another caller',
    { rules: [{ ...from({ namespaces: ['x'] })[0], to: [{ operation: { ports: ['1'] } }] }] },
    'fault',
  ],
  ['ports in a denial', { action: 'DENY', rules: [{ to: [{ operation: { ports: ['8080'] } }] }] }, 'warning'],
  ['an external authorizer', { action: 'CUSTOM', rules: [{}] }, 'warning'],
])('a policy with %s', (_name, spec, state) => {
  expect(judge([policy('p', spec)])).toMatchObject([{ state }])
})

test('names the field that cannot be judged, and has a remedy', () => {
  const [finding] = judge([policy('p', { rules: [{ to: [{ operation: { hosts: ['x'] } }] }] })])
  expect(finding!.message).toContain('AuthorizationPolicy models/p allows')
  expect(finding!.message).toContain('"operation.hosts"')
  expect(finding!.remedy).toContain('kubectl get authorizationpolicies')
})

test.each(['standard', 'knative'] as const)(
  'the generated policy for calls through the gateway allows a connector with a token, mode %s',
  (mode) => {
    const { kubeflow } = manifestParts({
      connector: {
        modelToken: {},
        kubeflow: { modelNamespace: 'models', mode, inferenceServices: ['iris'] },
      },
    })
    const policies = kubeflow.filter(({ kind }) => kind === 'AuthorizationPolicy') as unknown as KubeObject[]
    expect(policies).toHaveLength(1)
    expect(judge(policies, 'service-account', mode)).toMatchObject([{ state: 'ok' }])
    expect(judge(policies, 'unknown', mode)).toMatchObject([{ state: 'ok' }])
    expect(judge(policies, 'none', mode)).toMatchObject([{ state: 'fault' }])
  },
)

test("the policy of a Kubeflow profile's owner: refuses the ServiceAccount; another user is unknown", () => {
  const policies = [policy('ns-owner-access-istio', OWNER)]
  expect(judge(policies, 'service-account')).toMatchObject([{ state: 'fault' }])
  expect(judge(policies, 'unknown')).toMatchObject([{ state: 'warning' }])
})

test.each<[string, ConfigInput['models'], TokenOwner]>([
  ['no credential', { iris: { url: 'http://iris' } }, 'none'],
  [
    'a ServiceAccount token',
    { iris: { url: 'http://iris', credential: { kind: 'token-file', tokenFile: import.meta.filename } } },
    'service-account',
  ],
])('the token of a configuration with %s', (_name, models, owner) => {
  const value = loadConfig({ env: {}, flags: { broker: { url: 'mqtt://127.0.0.1' }, models } })
  expect(tokenOwnerOf({ value })).toBe(owner)
})
