// Runs the connector's pod with little memory. The memory limit and the heap size come from the manifests, and the
// kernel enforces the limit.
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startCluster, type Cluster } from './cluster/cluster.ts'
import type { KubeObject } from './cluster/kube-api.ts'
import { PageReader } from './cluster/page-commands.ts'
import { TestClient } from './fixtures/mqtt-client.ts'

const MIB = 1_048_576
const LIMIT_MIB = 96
const BODY_BYTES = 2_000_000
const ALICE = { username: 'alice', password: 'alice-password' }
const LOAD_MS = 20_000
// About as long as the `retry_after_ms` of an `overloaded` reply.
const PAUSE_MS = 100

let cluster: Cluster
let reader: PageReader

beforeAll(async () => {
  cluster = await startCluster()
  reader = new PageReader(cluster.env)
})

afterAll(async () => {
  await cluster?.stop()
})

describe('a memory limit', () => {
  // A command that uses 128 MB, and exits by itself if there is no limit.
  const GREEDY = 'head -c 128M /dev/zero | tail -n 1 > /dev/null'

  test('is enforced if this machine has control groups, and is visible to the program', async () => {
    const limits = { memory: `${LIMIT_MIB}Mi` }
    const show = [process.execPath, '-p', 'process.constrainedMemory()']
    const base = { restartPolicy: 'Never', automountServiceAccountToken: false }
    await createPod('greedy', {
      ...base,
      containers: [
        { name: 'greedy', image: 'busybox:1', command: ['/bin/sh', '-c', GREEDY], resources: { limits } },
        { name: 'looking', image: 'inferwire:0', command: show, resources: { limits } },
      ],
    })
    const status = await ended('greedy')
    const { greedy, looking } = cluster.kubelet.memory(/default/, /greedy/)
    const reasons = status.containerStatuses.map((each: KubeObject) => each.state.terminated.reason)
    const isLimited = greedy !== undefined
    console.log(isLimited ? `memory limits by ${greedy.kind}` : 'no control groups here: nothing is limited')
    expect(reasons).toEqual([isLimited ? 'OOMKilled' : 'Completed', 'Completed'])
    expect(looking !== undefined).toBe(isLimited)
    const seen = Number(/^\d+$/m.exec(cluster.kubelet.logs(/default/, /greedy/))?.[0])
    if (isLimited) expect(seen).toBe(LIMIT_MIB * MIB)
  })
})

describe(`a connector in ${LIMIT_MIB} MiB`, () => {
  test('answers requests of 2 MB with replies of 2 MB, or rejects them, without running out of memory', async () => {
    await install()
    const url = `mqtt://${await brokerAddress()}:1883`
    const clients = await Promise.all(Array.from({ length: 8 }, () => TestClient.connect(url, ALICE)))
    const until = performance.now() + LOAD_MS
    const outcomes = (
      await Promise.all(clients.map((client, index) => askUntil(client, index, until)))
    ).flat()
    const count = (outcome: string): number => outcomes.filter((each) => each === outcome).length
    const { status } = await cluster.api.get('/api/v1/namespaces/inferwire/pods/inferwire-0')
    const [container] = status.containerStatuses
    const { inferwire: cage } = cluster.kubelet.memory(/inferwire/, /inferwire-0/)
    const peakMib = (cage?.peakBytes() ?? 0) / MIB
    console.log(
      `${LIMIT_MIB} MiB, ${cage?.kind ?? 'not limited here'}: ${outcomes.length} requests of ${BODY_BYTES} bytes, ` +
        `${count('200')} answered, ${count('overloaded')} rejected; at most ${peakMib.toFixed(0)} MiB`,
    )
    const report = `${cluster.kubelet.logs(/inferwire/, /./, 3000)}\n${JSON.stringify(container)}`
    expect(container, report).toMatchObject({ restartCount: 0, state: { running: {} } })
    expect(cage?.oomKills() ?? 0, report).toBe(0)
    expect(count('200'), report).toBeGreaterThan(50)
    expect(count('overloaded'), report).toBeGreaterThan(0)
    expect(outcomes.length, report).toBe(count('200') + count('overloaded'))
    for (const client of clients) await client.close()
  })
})

/**
 * Applies broker, model and connector from `inferwire manifests`; heap and byte limits are derived from the memory
 * limit.
 */
async function install(): Promise<void> {
  const lines = [
    ...['mosquitto', 'inferwire', 'models'].map((name) => `kubectl create ns ${name}`),
    'npx inferwire passwd -c -b credentials.txt inferwire connector-password',
    `npx inferwire passwd -b credentials.txt ${ALICE.username} ${ALICE.password}`,
    'kubectl create secret generic inferwire-broker -n inferwire --from-literal=password=connector-password',
    'kubectl apply -f resources/kserve -n models',
    'kubectl wait --for=condition=Ready inferenceservice/iris -n models --timeout=120s',
    `npx inferwire manifests --expose none --memory ${LIMIT_MIB} --model echo=http://iris-predictor.models.svc --password-file credentials.txt > objects.yaml`,
    'kubectl apply -f objects.yaml',
    'kubectl rollout status statefulset/inferwire -n inferwire --timeout=60s',
  ]
  for (const line of lines) {
    const { code, stderr } = await reader.type(line)
    expect(code, `${line}\n${stderr}\n${cluster.report()}`).toBe(0)
  }
}

async function brokerAddress(): Promise<string> {
  const { spec } = await cluster.api.get('/api/v1/namespaces/mosquitto/services/mosquitto')
  return spec.clusterIP
}

/** Sends requests one after another, each with a different body. Resolves with their outcomes. */
async function askUntil(client: TestClient, index: number, until: number): Promise<string[]> {
  const outcomes: string[] = []
  await client.subscribe(`infer/reply/alice/echo/predict/${index}`)
  for (let number = 0; performance.now() < until; number++) {
    const mark = `${index}-${number}-`
    const instance = mark.padEnd(BODY_BYTES - 20, 'x')
    const topic = `infer/request/alice/echo/predict/${index}`
    const reply = await client.ask(topic, JSON.stringify({ instances: [instance] }), {}, 30_000)
    client.received.length = 0
    const { status, code } = reply.user
    if (status !== '200') {
      outcomes.push(code ?? 'no code')
      await delay(PAUSE_MS)
      continue
    }
    const { predictions } = reply.json() as { predictions: unknown[] }
    outcomes.push(predictions.length === 1 && predictions[0] === instance ? '200' : `another's: ${mark}`)
  }
  return outcomes
}

async function createPod(name: string, spec: KubeObject): Promise<void> {
  await cluster.api.create('/api/v1/namespaces/default/pods', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec,
  })
}

async function ended(name: string): Promise<KubeObject> {
  for (const until = Date.now() + 30_000; ; await delay(100)) {
    const { status } = await cluster.api.get(`/api/v1/namespaces/default/pods/${name}`)
    if (status.phase === 'Succeeded' || status.phase === 'Failed') return status
    if (Date.now() > until) throw new Error(`The pod did not end: ${JSON.stringify(status)}`)
  }
}
