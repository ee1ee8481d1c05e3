// Tests restarts and changed ConfigMaps in the guide's cluster, under load from outside, and measures Traefik's
// latency.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { connect, type Client } from '@inferwire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Cluster } from './cluster/cluster.ts'
import type { KubeObject } from './cluster/kube-api.ts'
import { GUIDE, startGuideCluster } from './cluster/guide-cluster.ts'
import type { PageReader } from './cluster/page-commands.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { ROOT } from './fixtures/page-blocks.ts'
import { FlowLoad, type FlowVerdict } from './rig/flow-load.ts'

const OUTSIDE = 'mqtt://mqtt.example.org:5883'
const ALICE = { username: 'alice', password: 'alice-password' }
const BOB = { username: 'bob', password: 'bob-password' }
const CAROL = { username: 'carol', password: 'new' }
const PER_SECOND = 50
// The shipped configuration's `autosave_interval` (10 s), plus a second.
const SAVED_AFTER_MS = 11_000
// If the broker ends a connection within 5 s, the connector assumes that a second connector
// uses the same client identifier, and waits before it reconnects. In production, restarts are less frequent.
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
  // In these tests, KServe's server has this model in addition to iris. The model returns its input.
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

test('a second broker is not scheduled next to the first, and cannot use the volume of the first', async () => {
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
  ])('a rollout restart of %s loses no request', async (_, workload, namespace) => {
    const raw = await underLoad(workload, () =>
      typeAll([
        `kubectl rollout restart ${workload} -n ${namespace}`,
        `kubectl rollout status ${workload} -n ${namespace} --timeout=60s`,
      ]),
    )
    expect(raw).toMatchObject({ unanswered: 0 })
  })

  test("a crash of the broker loses none of the SDK's requests; raw clients lose only in-flight requests", async () => {
    const raw = await underLoad('kill -9 of the broker', async () => {
      // The crash deletes the sessions that were created after the last save, and the replies in those sessions.
      await delay(SAVED_AFTER_MS)
      process.kill(cluster.kubelet.pids(/mosquitto/, /mosquitto/)['mosquitto']!, 'SIGKILL')
      await expect
        .poll(brokerPods, { timeout: 30_000 })
        .toEqual([expect.objectContaining({ isReady: false })])
      await expect.poll(brokerPods, { timeout: 30_000 }).toEqual([expect.objectContaining({ isReady: true })])
    })
    // Only the requests in flight at the crash are unanswered: fewer than the client sends in one second.
    expect(raw.unanswered).toBeLessThan(PER_SECOND)
  })

  test('a changed password file takes effect without a restart: added users can log in, removed users cannot', async () => {
    // These are the guide's commands for a password file in a ConfigMap, although the guide's last chapter has
    // moved the file to a Secret.
    const page = readFileSync(join(ROOT, GUIDE), 'utf8')
    const apply = 'kubectl apply -f ./resources/mosquitto/ -n mosquitto'
    expect(page).toMatch(new RegExp(`^\\| users .*\`${apply}\``, 'm'))
    const replace =
      'npx inferwire passwd --configmap mosquitto-password credentials.txt > resources/mosquitto/cm-mosquitto-password.yaml'
    const status = 'kubectl rollout status deployment/mosquitto -n mosquitto --timeout=60s'
    await delay(BETWEEN_RESTARTS_MS)
    await typeAll([replace, apply, status])

    await expect(TestClient.connect(OUTSIDE, CAROL)).rejects.toMatchObject({ code: 135 })
    expect(await reader.type('mosquitto_passwd credentials.txt carol', 'new\nnew\n')).toMatchObject({
      code: 0,
    })
    const before = await brokerStarts()
    const raw = await underLoad('a new user', async () => {
      await typeAll([replace, apply])
      await expect.poll(() => canLogIn(CAROL), { timeout: 30_000 }).toBe(true)
    })
    expect(raw).toMatchObject({ unanswered: 0, duplicates: 0 })
    const carol = await TestClient.connect(OUTSIDE, CAROL)
    await carol.subscribe('infer/reply/carol/#')
    const reply = await carol.ask('infer/request/carol/echo/predict', '{"instances":[7]}')
    expect(reply.json()).toEqual({ predictions: [7] })

    // The broker closes carol's connection, and refuses her attempts to reconnect.
    const refused = new Promise<void>((resolve) =>
      carol.mqtt.on('error', (error) => (error as { code?: unknown }).code === 135 && resolve()),
    )
    await typeAll(['mosquitto_passwd -D credentials.txt carol', replace, apply])
    await refused
    await carol.close()
    const alice = await TestClient.connect(OUTSIDE, ALICE)
    await alice.close()
    expect(await brokerStarts()).toEqual(before)
  })
})

test('Traefik adds less than a millisecond to a round trip', async () => {
  // Both routes pass through the stand-in for kube-proxy, because Traefik connects to the Service, too.
  const { spec } = await cluster.api.get('/api/v1/namespaces/mosquitto/services/mosquitto')
  const pods = await cluster.api.get('/api/v1/namespaces/traefik/pods')
  const traefik = pods.items.find(({ metadata }: KubeObject) => metadata.deletionTimestamp === undefined)
  const direct = await TestClient.connect(`mqtt://${spec.clusterIP}:1883`, ALICE)
  const through = await TestClient.connect(`mqtt://${traefik.status.podIP}:5883`, ALICE)
  for (const client of [direct, through]) await client.subscribe('infer/reply/alice/#')
  const extraMs: number[] = []
  // Other processes disturb the measurement; the series with the least overhead is the most accurate.
  for (let series = 0; series < 3; series++) {
    const [directMs, throughMs] = await medianRoundTrips([direct, through], 300)
    console.log(`p50: ${directMs!.toFixed(2)} ms directly, ${throughMs!.toFixed(2)} ms through Traefik`)
    extraMs.push(throughMs! - directMs!)
  }
  expect(Math.min(...extraMs)).toBeLessThan(1)
  for (const client of [direct, through]) await client.close()
})

/**
 * Returns each client's median round trip in milliseconds. The clients take turns, so that other load on the machine
 * affects all of them equally.
 */
async function medianRoundTrips(clients: readonly TestClient[], rounds: number): Promise<number[]> {
  const times = clients.map((): number[] => [])
  for (let round = 0; round < rounds; round++) {
    for (const [index, client] of clients.entries()) {
      client.received.length = 0
      const startedAt = performance.now()
      await client.ask('infer/request/alice/echo/predict', '{"instances":[1]}')
      times[index]!.push(performance.now() - startedAt)
    }
  }
  return times.map((samples) => samples.toSorted((one, other) => one - other)[Math.floor(rounds / 2)]!)
}

/**
 * Runs the action under load. Resolves with the outcome for the raw client; the SDK must receive all of its replies.
 */
async function underLoad(what: string, action: () => Promise<void>): Promise<FlowVerdict> {
  await delay(BETWEEN_RESTARTS_MS)
  const { hostname, port } = new URL(OUTSIDE)
  const raw = await FlowLoad.start({
    host: hostname,
    port: Number(port),
    login: { ...ALICE, clientId: `load-${randomUUID()}` },
    flows: [
      {
        name: 'alice',
        clients: [ALICE.username],
        model: 'echo',
        perSecond: PER_SECOND,
        expirySeconds: 600,
        predictionsOf: (body) => (JSON.parse(body) as { instances: unknown }).instances,
      },
    ],
  })
  const sdk = await SdkLoad.start()
  const stopping = new AbortController()
  raw.begin()
  const sending = sdk.sendUntil(stopping.signal)
  await delay(1000)
  const startedAt = Date.now()
  await action()
  const seconds = (Date.now() - startedAt) / 1000
  await delay(2000)
  stopping.abort()
  raw.stop()
  await sending
  await raw.settle(15_000)
  const { verdict } = raw
  const report = `${cluster.report()}\n${JSON.stringify(verdict)}`
  expect(verdict, report).toMatchObject({ crossed: 0, phantom: 0, errors: [] })
  expect(sdk.failures, report).toEqual([])
  console.log(
    `${what}: took effect after ${seconds.toFixed(1)} s; raw clients: ${verdict.requests} requests, ` +
      `${verdict.unanswered} unanswered, ${verdict.duplicates} answered twice; SDK: ${sdk.count} requests, ` +
      `${sdk.failures.length} failed, the slowest took ${sdk.slowestMs.toFixed(0)} ms`,
  )
  raw.close()
  await sdk.close()
  return verdict
}

async function canLogIn(login: { readonly username: string; readonly password: string }): Promise<boolean> {
  try {
    const client = await TestClient.connect(OUTSIDE, login)
    await client.close()
    return true
  } catch {
    return false
  }
}

async function typeAll(lines: readonly string[]): Promise<void> {
  for (const line of lines) {
    const ended = await reader.type(line)
    expect(ended, `${line}\n${ended.stderr}`).toMatchObject({ code: 0 })
  }
}

/** Generates load with the SDK, which repeats unanswered requests. */
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
  /** Returns the reason why the pod is not scheduled. */
  readonly reason: string | undefined
}

async function brokerStarts(): Promise<unknown> {
  const { items } = await cluster.api.get('/api/v1/namespaces/mosquitto/pods')
  return items.map(({ metadata, status }: KubeObject) => [
    metadata.uid,
    status.containerStatuses[0].restartCount,
  ])
}

async function brokerPods(): Promise<PodState[]> {
  const { items } = await cluster.api.get('/api/v1/namespaces/mosquitto/pods')
  return items.map(({ status }: KubeObject) => {
    const find = (type: string): KubeObject =>
      status.conditions?.find((condition: KubeObject) => condition.type === type)
    return { isReady: find('Ready')?.status === 'True', reason: find('PodScheduled')?.reason }
  })
}
