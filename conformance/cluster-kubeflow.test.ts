// Follows the page "Kubeflow, step by step" command by command: with a real API server, KServe's own controller and
// server, Mosquitto, and Envoy as Kubeflow's ingress gateway and as the models' sidecars.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startCluster, type Cluster } from './cluster/cluster.ts'
import { GUIDE } from './cluster/guide-cluster.ts'
import { InferenceServices, sklearnSpec } from './cluster/kserve/inference-services.ts'
import { startMeshGate, type MeshGate } from './cluster/mesh-gate.ts'
import { commandsOf, PageReader } from './cluster/page-commands.ts'
import { blocksOf } from './fixtures/page-blocks.ts'

const PAGE = 'docs/guides/kubeflow.md'
const SMALL = { requests: { cpu: '100m', memory: '128Mi' }, limits: { cpu: '1', memory: '1Gi' } }
const ASK = (model: string): string =>
  `mosquitto_rr -h $BROKER -p 1883 -V 5 -q 1 -W 30 -u alice -P alice-password -t infer/request/alice/${model}/predict ` +
  `-e infer/reply/alice/${model}/predict -m '{"instances":[[6.8,2.8,4.8,1.4]]}'`

let cluster: Cluster
let reader: PageReader
let gate: MeshGate

beforeAll(async () => {
  cluster = await startCluster()
  reader = new PageReader(cluster.env)
  for (const name of ['alice', 'istio-system']) {
    const metadata = { name }
    await cluster.api.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata })
  }
  const services = new InferenceServices(cluster.api, 'alice')
  const names = ['iris', 'neighbour']
  for (const name of names) await services.create(name, sklearnSpec({ model: { resources: SMALL } }))
  // The page requires steps 1 to 4 of the guide.
  for (const { line, input } of commandsOf(GUIDE)) {
    if (/^kubectl (?:create ns inferwire|apply -f \.\/resources\/inferwire)/.test(line)) break
    const { code, stderr } = await reader.type(line, input)
    if (code !== 0) throw new Error(`${line}\n${stderr}`)
  }
  const ready = await Promise.all(names.map((name) => services.untilReady(name)))
  const hosts = ready.map(({ status }, index) => [names[index]!, new URL(status.url as string).host])
  gate = await startMeshGate(cluster.api, Object.fromEntries(hosts) as Record<string, string>)
})

afterAll(async () => {
  await gate?.stop()
  await cluster?.stop()
})

describe('docs/guides/kubeflow.md, line by line,', () => {
  let isBroken = false

  test.each(commandsOf(PAGE))('$line', { timeout: 320_000 }, async ({ line, input, output }) => {
    expect(isBroken, 'A previous line failed.').toBe(false)
    isBroken = true
    const ended = await reader.type(line, input)
    expect(ended, `${ended.stderr}\n${cluster.report()}`).toMatchObject({ code: 0 })
    if (output !== undefined) expect(ended.stdout.trim()).toBe(output)
    if (line.includes('kubectl apply')) await gate.applyPolicies()
    isBroken = false
  })
})

const others = blocksOf(PAGE)
  .filter(({ language, mark }) => language === 'sh' && mark === '')
  .flatMap(({ text }) => text.trim().split('\n'))

test.each(others)('the API server accepts the objects of the other ways: %s', async (line) => {
  const { code, stderr } = await reader.type(
    line.replace(/^kubectl create\b|kubectl apply/, '$& --dry-run=server'),
  )
  expect({ code, errors: stderr.match(/error.*/gi) }).toEqual({ code: 0, errors: null })
})

test('the policy of the page does not admit the connector to a neighbour of the model', async () => {
  const neighbour = `sed -e 's/iris/neighbour/g' inferwire.yaml`
  const apply =
    `${neighbour} > neighbour.yaml && npx inferwire manifests --only connector --model-namespace alice ` +
    `--inference-service iris --model-token --config neighbour.yaml --image registry.example.org/inferwire:0.1.0 | kubectl apply -f - && ` +
    'kubectl rollout restart statefulset/inferwire -n inferwire && kubectl rollout status statefulset/inferwire -n inferwire --timeout=120s'
  expect(await reader.type(apply)).toMatchObject({ code: 0 })
  const { stdout } = await reader.type(ASK('neighbour'))
  expect(stdout).toContain('The service mesh does not allow the connector to call this model.')
})
