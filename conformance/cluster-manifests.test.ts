// Every manifest before a real API server, the Helm chart installed by Helm, and what the connector's account may do.
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { manifests, manifestText } from '@inferwire/kubernetes'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startCluster, type Cluster } from './cluster/cluster.ts'
import { KubeApiError, type KubeApi, type KubeObject } from './cluster/kube-api.ts'
import { PageReader } from './cluster/page-commands.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { ROOT } from './fixtures/page-blocks.ts'
import type { CommandResult } from './fixtures/processes.ts'
import { VARIANTS } from './manifests/variants.ts'

const NAMESPACES = ['mosquitto', 'inferwire', 'models', 'site']
const DRY_RUN = 'kubectl apply --dry-run=server --validate=strict'

let cluster: Cluster
let reader: PageReader

beforeAll(async () => {
  cluster = await startCluster()
  reader = new PageReader(cluster.env)
  for (const name of NAMESPACES) {
    await cluster.api.create('/api/v1/namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels: name === 'models' ? {} : restricted() },
    })
  }
})

afterAll(async () => {
  await cluster?.stop()
})

describe('the API server takes, strictly,', () => {
  test.each(VARIANTS)('the generated objects with %s', async (_, options) => {
    expect(await apply(manifestText(manifests(options)))).toEqual({ code: 0, stderr: '' })
  })

  const folders = ['mosquitto', 'inferwire', 'kserve', 'kserve/istio']
  test.each(folders)('resources/%s', async (folder) => {
    const { code, stderr } = await reader.type(`${DRY_RUN} -f resources/${folder}`)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })

  test.each(readdirSync(join(ROOT, 'resources/overlays')))('resources/overlays/%s', async (overlay) => {
    const { code, stderr } = await reader.type(`${DRY_RUN} -k resources/overlays/${overlay}`)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })

  test('the HelmChartConfig for k3s', async () => {
    const { code, stderr } = await reader.type(`${DRY_RUN} -f resources/traefik/k3s-helmchartconfig.yaml`)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })

  test('no field that does not exist, and no pod that is not restricted', async () => {
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

test('helm installs broker and connector where only restricted pods may run, and a model answers', async () => {
  const lines = [
    'npx inferwire passwd -c -b credentials.txt inferwire connector-password',
    'npx inferwire passwd -b credentials.txt alice alice-password',
    'kubectl create secret generic inferwire-broker -n site --from-literal=password=connector-password',
    'kubectl apply -f resources/kserve -n models',
    'kubectl wait --for=condition=Ready inferenceservice/iris -n models --timeout=120s',
    `helm upgrade --install inferwire '${ROOT}charts/inferwire' -n site --wait --timeout 120s --set mosquitto.expose=none --set-file mosquitto.passwordFile=credentials.txt --set config.models.iris.url=http://iris-predictor.models.svc`,
  ]
  for (const line of lines) {
    const ended = await reader.type(line)
    expect(ended, `${line}\n${ended.stderr}\n${cluster.report()}`).toMatchObject({ code: 0 })
  }
  const service = await cluster.api.get('/api/v1/namespaces/site/services/mosquitto')
  const url = `mqtt://${service.spec.clusterIP}:1883`
  const alice = await TestClient.connect(url, { username: 'alice', password: 'alice-password' })
  await alice.subscribe('infer/reply/alice/#')
  const reply = await alice.ask('infer/request/alice/iris/predict', '{"instances":[[6.8,2.8,4.8,1.4]]}')
  expect(reply.json()).toEqual({ predictions: [1] })
  await alice.close()
  const gone = await reader.type('helm uninstall inferwire -n site --wait --timeout 60s')
  expect(gone, gone.stderr).toMatchObject({ code: 0 })
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

  test('reads the InferenceServices of its namespace', async () => {
    const list = await account.get(`${KSERVE}/namespaces/inferwire/inferenceservices`)
    expect(list.items).toEqual([])
  })

  test('reads nothing else, in no namespace, of all that the server has', async () => {
    const allowed: string[] = []
    let refused = 0
    for (const path of await collections(cluster.api, ['inferwire', 'mosquitto', 'models'])) {
      if ((await outcome(account.get(path))) === 'done') allowed.push(path)
      else refused += 1
    }
    expect(allowed).toEqual([`${KSERVE}/namespaces/inferwire/inferenceservices`])
    expect(refused).toBeGreaterThan(100)
  })

  test('writes nothing, not even InferenceServices', async () => {
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

  test('is given to its pods only where it is used', async () => {
    const { spec } = await cluster.api.get('/apis/apps/v1/namespaces/inferwire/statefulsets/inferwire')
    expect(spec.template.spec.automountServiceAccountToken).toBe(false)
  })
})

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

/** Paths of everything that can be listed, over all and in each of the namespaces. */
async function collections(api: KubeApi, namespaces: readonly string[]): Promise<string[]> {
  const { groups } = await api.get('/apis')
  const versions = [
    '/api/v1',
    ...groups.map((group: KubeObject) => `/apis/${group.preferredVersion.groupVersion}`),
  ]
  const paths: string[] = []
  for (const version of versions) {
    const { resources } = await api.get(version)
    for (const { name, namespaced, verbs } of resources) {
      if (!verbs.includes('list')) continue
      paths.push(`${version}/${name}`)
      if (namespaced)
        paths.push(...namespaces.map((namespace) => `${version}/namespaces/${namespace}/${name}`))
    }
  }
  return paths
}

function outcome(attempt: Promise<unknown>): Promise<number | 'done'> {
  return attempt.then(
    () => 'done',
    (error: unknown) => {
      if (!(error instanceof KubeApiError)) throw error
      return error.status
    },
  )
}
