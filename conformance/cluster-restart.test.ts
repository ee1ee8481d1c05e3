// Restarts and changed ConfigMaps in the guide's cluster, under load from outside; and what Traefik costs.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { connect, type Client } from '@inferwire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Cluster } from './cluster/cluster.ts'
import type { KubeObject } from './cluster/kube-api.ts'
import { GUIDE, startGuideCluster } from './cluster/guide-cluster.ts'
import type { PageReader } from './cluster/page-commands.ts'
import { Load } from './fixtures/load.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { ROOT } from './fixtures/page-blocks.ts'

const OUTSIDE = 'mqtt://mqtt.example.org:5883'
const ALICE = { username: 'alice', password: 'alice-password' }
const BOB = { username: 'bob', password: 'bob-password' }
const CAROL = { username: 'carol', password: 'new' }
const PER_SECOND = 50
// The connector takes a connection that the broker ends within 5 s for the work of another with its name, and then waits.
// Nobody restarts a broker that often.
const BETWEEN_RESTARTS_MS = 6000

let cluster: Cluster
let reader: PageReader

beforeAll(async () => {
  ;({ cluster, reader } = await startGuideCluster())
})

afterAll(async () => {
  await cluster?.stop()
})

test('a model that is added to the ConfigMap is exposed without a restart', async () => {
  const before = await connectorPod()
  const client = await TestClient.connect(OUTSIDE, ALICE)
  await client.subscribe('infer/models/#')
  // KServe's server has this model beside iris. It answers with what it was asked.
  const path = '/api/v1/namespaces/inferwire/configmaps/inferwire-config'
  const { data } = await cluster.api.get(path)
  const text = (data['inferwire.yaml'] as string).replace(
    'models:\n',
    'models:\n  echo:\n    url: http://iris-predictor.models.svc.cluster.local\n    limits:\n      concurrency: 32\n',
  )
  await cluster.api.patch(path, { data: { 'inferwire.yaml': text } })
  await client.wait(({ topic }) => topic === 'infer/models/echo', 'card', 30_000)
  await client.close()
  expect(await connectorPod()).toEqual(before)
})

test('a second broker gets no place beside the first, and so not its volume', async () => {
  await typeAll(['kubectl scale deployment/mosquitto -n mosquitto --replicas=2'])
  const both = [
    { isReady: true, reason: undefined },
    { isReady: false, reason: 'Unschedulable' },
  ]
  await expect.poll(brokerPods).toEqual(expect.arrayContaining(both))
  const client = await TestClient.connect(OUTSIDE, ALICE)
  await client.close()
  await typeAll([
    'kubectl scale deployment/mosquitto -n mosquitto --replicas=1',
    'kubectl rollout status deployment/mosquitto -n mosquitto --timeout=60s',
  ])
  await expect.poll(brokerPods).toEqual([both[0]])
})

describe('under load from outside', () => {
  test.each([
    ['the connector', 'statefulset/inferwire', 'inferwire'],
    ['the broker', 'deployment/mosquitto', 'mosquitto'],
  ])('a rollout restart of %s loses nothing', async (_, workload, namespace) => {
    await underLoad(workload, [
      `kubectl rollout restart ${workload} -n ${namespace}`,
      `kubectl rollout status ${workload} -n ${namespace} --timeout=60s`,
    ])
  })

  test('a changed password file loses nothing; new users get in, and those who went do not', async () => {
    // As the page has it; its last chapter put the file into a Secret.
    const page = readFileSync(join(ROOT, GUIDE), 'utf8')
    const [apply, restart] = [
      'kubectl apply -f ./resources/mosquitto/ -n mosquitto',
      'kubectl rollout restart deployment/mosquitto -n mosquitto',
    ]
    expect(page).toMatch(new RegExp(`^\\| users .*\`${apply}\`.*\`${restart}\``, 'm'))
    const replace =
      'npx inferwire passwd --configmap mosquitto-password credentials.txt > resources/mosquitto/cm-mosquitto-password.yaml'
    const status = 'kubectl rollout status deployment/mosquitto -n mosquitto --timeout=60s'
    await delay(BETWEEN_RESTARTS_MS)
    await typeAll([replace, apply, status])

    await expect(TestClient.connect(OUTSIDE, CAROL)).rejects.toMatchObject({ code: 135 })
    expect(await reader.type('mosquitto_passwd credentials.txt carol', 'new\nnew\n')).toMatchObject({
      code: 0,
    })
    await underLoad('a new user', [replace, apply, restart, status])
    const carol = await TestClient.connect(OUTSIDE, CAROL)
    await carol.subscribe('infer/reply/carol/#')
    const reply = await carol.ask('infer/request/carol/echo/predict', '{"instances":[7]}')
    expect(reply.json()).toEqual({ predictions: [7] })

    // She is there when the broker ends, and comes back by herself.
    const refused = new Promise<void>((resolve) =>
      carol.mqtt.on('error', (error) => (error as { code?: unknown }).code === 135 && resolve()),
    )
    await delay(BETWEEN_RESTARTS_MS)
    await typeAll(['mosquitto_passwd -D credentials.txt carol', replace, apply, restart, status])
    await refused
    await carol.close()
    const alice = await TestClient.connect(OUTSIDE, ALICE)
    await alice.close()
  })
})

test('through Traefik a round trip is hardly longer than directly', async () => {
  const direct = await TestClient.connect(`mqtt://${await podAddress('mosquitto', 'mosquitto')}:1883`, ALICE)
  const through = await TestClient.connect(`mqtt://${await podAddress('traefik', 'traefik')}:5883`, ALICE)
  const times = new Map<TestClient, number[]>([
    [direct, []],
    [through, []],
  ])
  for (const client of times.keys()) await client.subscribe('infer/reply/alice/#')
  // In turns, so that both meet the same machine.
  for (let round = 0; round < 500; round++) {
    for (const [client, samples] of times) {
      client.received.length = 0
      const startedAt = performance.now()
      await client.ask('infer/request/alice/echo/predict', '{"instances":[1]}')
      samples.push(performance.now() - startedAt)
    }
  }
  const [directMs, throughMs] = [...times.values()].map(median) as [number, number]
  console.log(`p50: ${directMs.toFixed(2)} ms directly, ${throughMs.toFixed(2)} ms through Traefik`)
  expect(times.get(through)).toHaveLength(500)
  await direct.close()
  await through.close()
})

/** Types the lines while a raw client and the SDK ask: everything that they ask is answered. */
async function underLoad(what: string, lines: readonly string[]): Promise<void> {
  await delay(BETWEEN_RESTARTS_MS)
  const raw = await Load.start(OUTSIDE, 'echo', {
    ...ALICE,
    predictionsOf: (body) => (JSON.parse(body) as { instances: unknown }).instances,
  })
  const sdk = await SdkLoad.start()
  const stopping = new AbortController()
  const loads = [raw.sendUntil(stopping.signal, PER_SECOND), sdk.sendUntil(stopping.signal)]
  await delay(1000)
  const startedAt = Date.now()
  await typeAll(lines)
  const seconds = (Date.now() - startedAt) / 1000
  await delay(2000)
  stopping.abort()
  await Promise.all(loads)
  const verdict = await raw.settle(15_000)
  const report = `${cluster.report()}\n${JSON.stringify(verdict)}`
  expect(verdict, report).toMatchObject({ unanswered: 0, crossed: 0, phantom: 0, errors: [] })
  expect(sdk.failures, report).toEqual([])
  console.log(
    `${what}: restarted in ${seconds.toFixed(1)} s; raw clients: ${verdict.requests} requests, ` +
      `${verdict.unanswered} unanswered, ${verdict.duplicates} answered twice; SDK: ${sdk.count} requests, ` +
      `${sdk.failures.length} failed, the slowest took ${sdk.slowestMs.toFixed(0)} ms`,
  )
  await raw.close()
  await sdk.close()
}

async function typeAll(lines: readonly string[]): Promise<void> {
  for (const line of lines) {
    const ended = await reader.type(line)
    expect(ended, `${line}\n${ended.stderr}`).toMatchObject({ code: 0 })
  }
}

/** The SDK, which repeats what was not answered. */
class SdkLoad {
  readonly failures: unknown[] = []
  count = 0
  slowestMs = 0
  readonly #client: Client

  private constructor(client: Client) {
    this.#client = client
  }

  static async start(): Promise<SdkLoad> {
    return new SdkLoad(await connect(OUTSIDE, BOB))
  }

  async sendUntil(stop: AbortSignal): Promise<void> {
    const sent: Promise<void>[] = []
    while (!stop.aborted) {
      sent.push(this.#send(this.count++))
      await delay(1000 / PER_SECOND)
    }
    await Promise.all(sent)
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  async #send(number: number): Promise<void> {
    const startedAt = performance.now()
    try {
      const answer = await this.#client.predict('echo', [[number]], {
        timeoutMs: 60_000,
        waitForConnector: true,
      })
      if (JSON.stringify(answer) !== `[[${number}]]`) this.failures.push(answer)
    } catch (error) {
      this.failures.push(error)
    }
    this.slowestMs = Math.max(this.slowestMs, performance.now() - startedAt)
  }
}

async function connectorPod(): Promise<unknown> {
  const { metadata, status } = await cluster.api.get('/api/v1/namespaces/inferwire/pods/inferwire-0')
  return { uid: metadata.uid, restarts: status.containerStatuses[0].restartCount }
}

interface PodState {
  readonly isReady: boolean
  /** Why it has no node. */
  readonly reason: string | undefined
}

async function brokerPods(): Promise<PodState[]> {
  const { items } = await cluster.api.get('/api/v1/namespaces/mosquitto/pods')
  return items.map(({ status }: KubeObject) => {
    const find = (type: string): KubeObject =>
      status.conditions?.find((condition: KubeObject) => condition.type === type)
    return { isReady: find('Ready')?.status === 'True', reason: find('PodScheduled')?.reason }
  })
}

async function podAddress(namespace: string, name: string): Promise<string> {
  const selector = encodeURIComponent(`app.kubernetes.io/name=${name}`)
  const { items } = await cluster.api.get(`/api/v1/namespaces/${namespace}/pods?labelSelector=${selector}`)
  return items.find((pod: { metadata: { deletionTimestamp?: string } }) => !pod.metadata.deletionTimestamp)
    .status.podIP
}

function median(samples: readonly number[]): number {
  return samples.toSorted((one, other) => one - other)[Math.floor(samples.length / 2)]!
}
