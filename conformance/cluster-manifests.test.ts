// Validates every manifest with a real API server, installs the chart with Helm, and checks the permissions of the
// connector's ServiceAccount.
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { manifests, manifestText } from '@inferwire/kubernetes'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startCluster, type Cluster } from './cluster/cluster.ts'
import type { KubeApi, KubeObject } from './cluster/kube-api.ts'
import { PageReader } from './cluster/page-commands.ts'
import { collections, outcome } from './cluster/permissions.ts'
import { startGuardedModel, type GuardedModel } from './cluster/stand-ins/guarded-model.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { ROOT } from './fixtures/page-blocks.ts'
import type { CommandResult } from './fixtures/processes.ts'
import { makeCertificate } from './manifests/certificate.ts'
import { VARIANTS } from './manifests/variants.ts'

const NAMESPACES = ['mosquitto', 'inferwire', 'models', 'site', 'alice', 'istio-system', 'vision', '007']
// The namespaces of Inferwire's own pods.
const RESTRICTED = new Set(['mosquitto', 'inferwire', 'site'])
const DRY_RUN = 'kubectl apply --dry-run=server --validate=strict'

let cluster: Cluster
let reader: PageReader

beforeAll(async () => {
  cluster = await startCluster({ schemas: 'full' })
  reader = new PageReader(cluster.env)
  for (const name of NAMESPACES) {
    await cluster.api.create('/api/v1/namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels: RESTRICTED.has(name) ? restricted() : {} },
    })
  }
})

afterAll(async () => {
  await cluster?.stop()
})

describe('a real API server with strict validation', () => {
  test.each(VARIANTS)('accepts the generated objects with %s', async (_, options) => {
    expect(await apply(manifestText(manifests(options)))).toEqual({ code: 0, stderr: '' })
  })

  const folders = ['mosquitto', 'inferwire', 'kserve', 'kserve/istio']
  test.each(folders)('accepts resources/%s', async (folder) => {
    const { code, stderr } = await reader.type(`${DRY_RUN} -f resources/${folder}`)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })

  test.each(readdirSync(join(ROOT, 'resources/overlays')))(
    'accepts resources/overlays/%s',
    async (overlay) => {
      const { code, stderr } = await reader.type(`${DRY_RUN} -k resources/overlays/${overlay}`)
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    },
  )

  test('accepts the HelmChartConfig for k3s', async () => {
    const { code, stderr } = await reader.type(`${DRY_RUN} -f resources/traefik/k3s-helmchartconfig.yaml`)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })

  test('rejects an unknown field and an unrestricted pod', async () => {
    const [deployment] = manifests({}).filter(({ kind }) => kind === 'Deployment') as [KubeObject]
    const { spec } = deployment
    const unknown = await apply(manifestText([{ ...deployment, spec: { ...spec, replica: 1 } }]))
    expect(unknown.code).toBe(1)
    expect(unknown.stderr).toContain('unknown field "spec.replica"')
    const [route] = manifests({}).filter(({ kind }) => kind === 'IngressRouteTCP') as [KubeObject]
    const misspelt = { ...route, spec: { ...route.spec, routes: [{ match: 'HostSNI(`*`)', service: [] }] } }
    expect((await apply(manifestText([misspelt]))).stderr).toContain('unknown field "spec.routes[0].service"')
    const pod = { ...spec.template.spec, securityContext: {} }
    const loose = { ...deployment, spec: { ...spec, template: { ...spec.template, spec: pod } } }
    expect((await apply(manifestText([loose]))).stderr).toContain('would violate PodSecurity "restricted')
  })
})

describe('a release of the chart in a namespace that allows only restricted pods', () => {
  const IRIS = '{"instances":[[6.8,2.8,4.8,1.4]]}'
  const { certFile, keyFile } = makeCertificate(['guarded.models'])
  let model: GuardedModel
  let alice: TestClient

  beforeAll(async () => {
    model = await startGuardedModel(certFile, keyFile)
    model.token = 'first'
    const guarded = {
      url: model.url,
      credential: { kind: 'token-file', tokenFile: '/etc/secrets/login/token' },
      tls: { caFile: '/etc/secrets/ca/ca.crt', serverName: 'guarded.models' },
    }
    const values = {
      mosquitto: { expose: 'none' },
      config: { models: { iris: { url: 'http://iris-predictor.models.svc' }, guarded } },
      secretMounts: [
        { secretName: 'guarded-login', mountPath: '/etc/secrets/login' },
        { secretName: 'guarded-ca', mountPath: '/etc/secrets/ca' },
      ],
    }
    writeFileSync(join(reader.folder, 'values.json'), JSON.stringify(values))
  })

  afterAll(async () => {
    await alice?.close()
    model.stop()
  })

  test('is installed by helm, and its model answers', async () => {
    await typeAll([
      'npx inferwire passwd -c -b credentials.txt inferwire connector-password',
      'npx inferwire passwd -b credentials.txt alice alice-password',
      'kubectl create secret generic inferwire-broker -n site --from-literal=password=connector-password',
      'kubectl create secret generic guarded-login -n site --from-literal=token=first',
      `kubectl create secret generic guarded-ca -n site --from-file=ca.crt=${certFile}`,
      'kubectl apply -f resources/kserve -n models',
      'kubectl wait --for=condition=Ready inferenceservice/iris -n models --timeout=120s',
      `helm upgrade --install inferwire '${ROOT}charts/inferwire' -n site --wait --timeout 120s -f values.json --set-file mosquitto.passwordFile=credentials.txt`,
    ])
    const service = await cluster.api.get('/api/v1/namespaces/site/services/mosquitto')
    const url = `mqtt://${service.spec.clusterIP}:1883`
    alice = await TestClient.connect(url, { username: 'alice', password: 'alice-password' })
    await alice.subscribe('infer/reply/alice/#')
    const reply = await alice.ask('infer/request/alice/iris/predict', IRIS)
    expect(reply.json()).toEqual({ predictions: [1] })
  })

  test('sends a token from one Secret to a model whose CA is in another Secret, even after the token was replaced', async () => {
    const topic = 'infer/request/alice/guarded/predict'
    expect((await alice.ask(topic, IRIS)).json()).toEqual({ predictions: [1] })
    model.token = 'second'
    const token = Buffer.from(model.token).toString('base64')
    await cluster.api.patch('/api/v1/namespaces/site/secrets/guarded-login', { data: { token } })
    await expect
      .poll(async () => (await alice.ask(topic, IRIS)).json(), { timeout: 30_000 })
      .toEqual({ predictions: [1] })
  })

  test('is uninstalled by helm', async () => {
    await typeAll(['helm uninstall inferwire -n site --wait --timeout 60s'])
  })
})

describe("the connector's ServiceAccount", () => {
  let account: KubeApi

  beforeAll(async () => {
    const applied = await reader.type('kubectl apply -f resources/inferwire -n inferwire')
    expect(applied, applied.stderr).toMatchObject({ code: 0 })
    const { stdout } = await reader.type('kubectl create token inferwire -n inferwire')
    account = cluster.api.as(stdout.trim())
  })

  afterAll(() => account.close())

  const KSERVE = '/apis/serving.kserve.io/v1beta1'

  test('can read nothing in any namespace without discovery', async () => {
    const paths = await collections(cluster.api, ['inferwire', 'mosquitto', 'models'])
    const outcomes = await Promise.all(paths.map((path) => outcome(account.get(path))))
    expect(paths.filter((_, index) => outcomes[index] === 'done')).toEqual([])
    expect(paths.length).toBeGreaterThan(100)
  })

  test('can write nothing, not even InferenceServices', async () => {
    const own = `${KSERVE}/namespaces/inferwire/inferenceservices`
    const core = '/api/v1/namespaces/inferwire'
    const service = {
      apiVersion: 'serving.kserve.io/v1beta1',
      kind: 'InferenceService',
      metadata: { name: 'forged' },
    }
    const attempts = [
      account.create(own, service),
      account.patch(`${own}/iris`, { metadata: { labels: { a: 'b' } } }),
      account.patch(`${own}/iris/status`, { status: {} }),
      account.delete(`${own}/iris`),
      account.delete(own),
      account.get(`${core}/secrets/inferwire-broker`),
      account.create(`${core}/pods`, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'forged' } }),
      account.create(`${core}/serviceaccounts/inferwire/token`, {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {},
      }),
      account.patch(`${core}/configmaps/inferwire-config`, { data: { 'inferwire.yaml': '' } }),
    ]
    expect(await Promise.all(attempts.map(outcome))).toEqual(attempts.map(() => 403))
  })

  test("gives the connector's pods no token", async () => {
    const { spec } = await cluster.api.get('/apis/apps/v1/namespaces/inferwire/statefulsets/inferwire')
    expect(spec.template.spec.automountServiceAccountToken).toBe(false)
  })
})

async function typeAll(lines: readonly string[]): Promise<void> {
  for (const line of lines) {
    const ended = await reader.type(line)
    expect(ended, `${line}\n${ended.stderr}\n${cluster.report()}`).toMatchObject({ code: 0 })
  }
}

async function apply(yaml: string): Promise<Pick<CommandResult, 'code' | 'stderr'>> {
  writeFileSync(join(reader.folder, 'objects.yaml'), yaml)
  const { code, stderr } = await reader.type(`${DRY_RUN} -f objects.yaml`)
  return { code, stderr }
}

function restricted(): Record<string, string> {
  return Object.fromEntries(
    ['enforce', 'warn'].map((mode) => [`pod-security.kubernetes.io/${mode}`, 'restricted']),
  )
}
