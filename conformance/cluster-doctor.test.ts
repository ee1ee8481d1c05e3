// Tests the cluster's checks of `inferwire doctor` with a real API server. There is no KServe controller: the test
// writes the statuses that KServe's controller 0.20 writes.
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { diagnose } from 'inferwire'
import { manifestParts } from '@inferwire/kubernetes'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findComponents, type Components } from './cluster/components.ts'
import { startControlPlane, type ControlPlane } from './cluster/control-plane.ts'
import { applyCrds } from './cluster/crds.ts'
import { readObjects } from './cluster/kserve/chart.ts'
import { createCrds } from './cluster/kserve/controller.ts'
import { NODE_ADDRESS, setUpNodeNetwork } from './cluster/node/network.ts'
import { tempFolder } from './fixtures/temp-folder.ts'

type Result = Awaited<ReturnType<typeof diagnose>>[number]

const SERVICES = '/apis/serving.kserve.io/v1beta1/namespaces/models/inferenceservices'
const POLICIES = '/apis/security.istio.io/v1/namespaces'
const NETWORK = '/apis/networking.k8s.io/v1/namespaces/models/networkpolicies'
const folder = tempFolder('cluster-doctor')

let components: Components
let plane: ControlPlane
let accountConfig: string

beforeAll(async () => {
  components = await findComponents()
  await setUpNodeNetwork()
  plane = await startControlPlane(components, folder, NODE_ADDRESS)
  for (const name of ['inferwire', 'models', 'istio-system']) {
    await plane.api.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  }
})
afterAll(() => plane?.stop())

/** Runs the checks, and returns those of the cluster by their ids. */
async function check(
  models: Record<string, string> = { iris: 'http://iris-predictor.models.svc.cluster.local' },
  kubeconfig = plane.kubeconfig,
  discovery: object = { enabled: true, namespaces: ['models'] },
): Promise<Map<string, Result>> {
  const config = join(folder, 'inferwire.json')
  const urls = Object.entries(models).map(([name, url]) => [name, { url, protocolVersion: 'v2' }])
  writeFileSync(
    config,
    JSON.stringify({ broker: { url: 'mqtt://127.0.0.1:9' }, models: Object.fromEntries(urls), discovery }),
  )
  const results = await diagnose({ config, kubeconfig, namespace: 'models', mqttVersion: 5, timeout: 20 }, {})
  return new Map(results.filter(({ id }) => id.startsWith('cluster.')).map((result) => [result.id, result]))
}

function faultsOf(results: Map<string, Result>): string[] {
  return [...results.values()].filter(({ state }) => state === 'fault').map(({ id }) => id)
}

function findingOf(results: Map<string, Result>, id: string) {
  return results.get(id)!.findings.find(({ state }) => state !== 'ok')!
}

function kubectl(words: readonly string[], input?: string): void {
  const env = { ...process.env, KUBECONFIG: plane.kubeconfig }
  execFileSync(components.kubectl, words, { env, input, stdio: ['pipe', 'ignore', 'inherit'] })
}

async function createService(name: string, status: object): Promise<void> {
  const object = {
    apiVersion: 'serving.kserve.io/v1beta1',
    kind: 'InferenceService',
    metadata: { name, namespace: 'models' },
    spec: { predictor: {} },
  }
  await plane.api.create(SERVICES, object)
  await plane.api.patch(`${SERVICES}/${name}/status`, { status })
}

const READY = {
  address: { url: 'http://iris-predictor.models.svc.cluster.local' },
  conditions: [
    { type: 'IngressReady', status: 'True' },
    { type: 'PredictorReady', status: 'True' },
    { type: 'Ready', status: 'True' },
  ],
  deploymentMode: 'Standard',
}
const FAILED = {
  conditions: [
    { type: 'PredictorReady', status: 'False', reason: 'MinimumReplicasUnavailable' },
    { type: 'Ready', status: 'False' },
  ],
  modelStatus: { lastFailureInfo: { reason: 'ModelLoadFailed', message: 'no such bucket' } },
}

test('reports that KServe is not installed', async () => {
  const results = await check()
  expect(faultsOf(results)).toEqual(['cluster.kserve'])
  expect(findingOf(results, 'cluster.kserve').remedy).toContain('Install KServe')
  expect(results.get('cluster.models')).toMatchObject({ state: 'skipped', reason: 'cluster.kserve failed' })
})

describe('with KServe and Istio', () => {
  beforeAll(async () => {
    await applyCrds(plane.api)
    await createCrds(plane.api, readObjects(components.kserve, 'minimal'))
    await createService('iris', READY)
    // The connector's own objects, as Inferwire generates them for the namespace of the models.
    const discovery = { enabled: true, namespaces: ['models'] }
    const { connector } = manifestParts({ connector: { namespace: 'models', config: { discovery } } })
    const kinds = ['ServiceAccount', 'Role', 'RoleBinding']
    const objects = connector.filter(({ kind }) => kinds.includes(kind))
    kubectl(['apply', '-f', '-'], objects.map((object) => JSON.stringify(object)).join('\n---\n'))
    accountConfig = await kubeconfigOf('models', 'inferwire')
  })

  test('finds nothing in a healthy cluster', async () => {
    const results = await check()
    expect([...results.values()].filter(({ state }) => state !== 'ok').map(({ id }) => id)).toEqual([
      // An administrator's rights are not the connector's.
      'cluster.rights',
    ])
    expect(results.get('cluster.rights')!.state).toBe('skipped')
  })

  test("finds nothing with the connector's ServiceAccount, which may read only InferenceServices", async () => {
    const results = await check(undefined, accountConfig)
    expect(faultsOf(results)).toEqual([])
    expect(results.get('cluster.rights')).toMatchObject({ state: 'ok' })
    expect(results.get('cluster.models')).toMatchObject({ state: 'ok' })
    expect(results.get('cluster.network')!.reason).toContain('may not read NetworkPolicies')
  })

  test('reports why an InferenceService is not ready', async () => {
    await createService('digits', FAILED)
    const results = await check()
    expect(faultsOf(results)).toEqual(['cluster.models'])
    const { message, remedy } = findingOf(results, 'cluster.models')
    expect(message).toContain('models/digits is not ready: ModelLoadFailed: no such bucket')
    expect(remedy).toContain('kubectl describe inferenceservice digits -n models')
    await plane.api.delete(`${SERVICES}/digits`)
  })

  test('reports a URL that leads to no InferenceService, with the right one', async () => {
    const results = await check({ iris: 'http://irs-predictor.models.svc.cluster.local' })
    expect(faultsOf(results)).toEqual(['cluster.addresses'])
    expect(findingOf(results, 'cluster.addresses').remedy).toBe(
      'Set models.iris.url: http://iris-predictor.models.svc.cluster.local',
    )
  })

  test('reports a ServiceAccount with too few rights, and its remedy works', async () => {
    kubectl(['create', 'serviceaccount', 'weak', '-n', 'inferwire'])
    const weak = await kubeconfigOf('inferwire', 'weak')
    const results = await check(undefined, weak)
    expect(faultsOf(results)).toEqual(['cluster.rights'])
    expect(results.get('cluster.models')!.reason).toContain('may not read the InferenceServices in models')
    // Without discovery, the connector needs no rights.
    expect(faultsOf(await check(undefined, weak, {}))).toEqual([])
    const { message, remedy } = findingOf(results, 'cluster.rights')
    expect(message).toContain('inferwire/weak may not get inferenceservices, list inferenceservices')
    const commands = remedy!.split('\n').slice(1)
    for (const command of commands)
      kubectl(command.replace('inferwire -n', 'weak -n').replace('=inferwire ', '=weak ').split(' ').slice(1))
    expect(faultsOf(await check(undefined, weak))).toEqual([])
  })

  test('reports a ServiceAccount with too many rights', async () => {
    kubectl(['create', 'serviceaccount', 'strong', '-n', 'inferwire'])
    kubectl([
      'create',
      'clusterrolebinding',
      'strong',
      '--clusterrole=edit',
      '--serviceaccount=inferwire:strong',
    ])
    const results = await check(undefined, await kubeconfigOf('inferwire', 'strong'))
    const rights = results.get('cluster.rights')!
    expect(rights.findings.map(({ message }) => message).join('\n')).toMatch(
      /inferwire\/strong may do more in models than it needs: .*get secrets.*create pods/,
    )
  })

  test('reports a connector outside the mesh of the models', async () => {
    kubectl(['label', 'namespace', 'models', 'istio.io/dataplane-mode=ambient'])
    const results = await check()
    expect(faultsOf(results)).toEqual(['cluster.mesh'])
    const { remedy } = findingOf(results, 'cluster.mesh')
    kubectl(/kubectl (label [^,]*),/.exec(remedy!)![1]!.split(' '))
    expect(faultsOf(await check())).toEqual([])
  })

  test('reports an AuthorizationPolicy that refuses the connector; the printed policy corrects it', async () => {
    await plane.api.create(`${POLICIES}/istio-system/authorizationpolicies`, {
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name: 'global-deny-all', namespace: 'istio-system' },
      spec: {},
    })
    const results = await check()
    expect(faultsOf(results)).toEqual(['cluster.authorization'])
    const { message, remedy } = findingOf(results, 'cluster.authorization')
    expect(message).toContain('istio-system/global-deny-all refuses')
    kubectl(['apply', '-f', '-'], remedy!.split('\n').slice(1).join('\n'))
    expect(faultsOf(await check())).toEqual([])
  })

  test('reports a NetworkPolicy that blocks the connector; the printed policy corrects it', async () => {
    await plane.api.create(NETWORK, {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'default-deny', namespace: 'models' },
      spec: { podSelector: {}, policyTypes: ['Ingress'] },
    })
    const results = await check()
    expect(faultsOf(results)).toEqual(['cluster.network'])
    const { message, remedy } = findingOf(results, 'cluster.network')
    expect(message).toContain('"default-deny" in models block')
    kubectl(['apply', '-f', '-'], remedy!.split('\n').slice(1).join('\n'))
    expect(faultsOf(await check())).toEqual([])
  })

  test('reports a token that the API server refuses, without printing it', async () => {
    const file = join(folder, 'refused.kubeconfig')
    writeFileSync(file, plane.kubeconfigText('canary-token'))
    const results = await check(undefined, file)
    expect(faultsOf(results)).toEqual(['cluster.access'])
    expect(findingOf(results, 'cluster.access').remedy).toContain('token is valid')
    expect(JSON.stringify([...results])).not.toContain('canary')
  })
})

async function kubeconfigOf(namespace: string, account: string): Promise<string> {
  const request = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { expirationSeconds: 3600 },
  }
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`
  const { status } = (await plane.api.create(path, request)) as { status: { token: string } }
  const file = join(folder, `${account}.kubeconfig`)
  writeFileSync(file, plane.kubeconfigText(status.token))
  return file
}
