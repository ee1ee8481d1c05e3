// Executes the guide in a cluster with a real control plane, Traefik and Mosquitto, and stand-ins for the programs of a
// node.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startCluster, type Cluster } from './cluster/cluster.ts'
import { GUIDE } from './cluster/guide-cluster.ts'
import { commandsOf, PageReader } from './cluster/page-commands.ts'
import { TestClient, type TestClientOptions } from './fixtures/mqtt-client.ts'

const ALICE = { username: 'alice', password: 'alice-password' }
const ADMIN = { username: 'admin', password: 'admin-password' }
const BOB = { username: 'bob', password: 'bob-password' }
const IRIS = '{"instances":[[6.8,2.8,4.8,1.4]]}'

// Connections to all of these addresses go through Traefik.
const OUTSIDE = {
  'TCP on 5883': 'mqtt://mqtt.example.org:5883',
  'TLS on 8883': 'mqtts://mqtt.example.org:8883',
  'WebSocket over TLS on 443': 'wss://mqtt.example.org/mqtt',
}

let cluster: Cluster
let reader: PageReader

beforeAll(async () => {
  cluster = await startCluster()
  reader = new PageReader(cluster.env)
})

afterAll(async () => {
  await cluster?.stop()
})

describe('docs/guides/from-the-guide.md, line by line,', () => {
  const commands = commandsOf(GUIDE)

  let isBroken = false

  test.each(commands)('$line', { timeout: 320_000 }, async ({ line, input, output }) => {
    expect(isBroken, 'A previous line failed.').toBe(false)
    isBroken = true
    const ended = await reader.type(line, input)
    expect(ended, `${ended.stderr}\n${cluster.report()}`).toMatchObject({ code: 0 })
    if (output !== undefined) expect(ended.stdout.trim()).toBe(output)
    isBroken = false
  })

  test('contains the commands of the original guide', () => {
    const lines = commands.map(({ line }) => line)
    expect(lines).toEqual(
      expect.arrayContaining([
        'mosquitto_passwd credentials.txt admin',
        'kubectl create ns mosquitto',
        'kubectl apply -f ./resources/mosquitto/ -n mosquitto',
        'kubectl apply -f ./resources/inferwire/ -n inferwire',
      ]),
    )
  })
})

describe.each(Object.entries(OUTSIDE))('from outside, %s', (_, url) => {
  const connect = (options: TestClientOptions): Promise<TestClient> => {
    if (url.startsWith('mqtt:')) return TestClient.connect(url, options)
    const ca = readFileSync(join(reader.folder, 'tls.crt'))
    return TestClient.connect(url, { ca, servername: 'mqtt.example.org', ...options })
  }

  test('a user with the right password receives a prediction', async () => {
    const alice = await connect(ALICE)
    await alice.subscribe('infer/reply/alice/#')
    const reply = await alice.ask('infer/request/alice/iris/predict', IRIS)
    expect(reply.json()).toEqual({ predictions: [1] })
    await alice.close()
  })

  test.each([
    ['a wrong password', { username: 'alice', password: 'bob-password' }],
    ['a user who is not in the file', { username: 'mallory', password: 'alice-password' }],
    ['a client without a user name', {}],
  ])('%s is rejected', async (_what, credentials) => {
    // Both codes mean "not authorized": 135 in MQTT 5, 5 in MQTT 3.1.1.
    await expect(connect(credentials)).rejects.toMatchObject({ code: 135 })
    await expect(connect({ ...credentials, protocolVersion: 4 })).rejects.toMatchObject({ code: 5 })
  })

  test('bob can neither publish as alice nor receive her replies', async () => {
    const alice = await connect(ALICE)
    const bob = await connect(BOB)
    await alice.subscribe('infer/reply/alice/#')
    for (const filter of ['infer/reply/alice/#', 'infer/request/#', '#']) await bob.subscribe(filter)
    expect(await bob.publish('infer/request/alice/iris/predict', IRIS)).toBe(135)
    expect(await bob.publish('infer/reply/alice/iris/predict', 'forged')).toBe(135)
    expect(await bob.publish('infer/models/iris', 'forged', undefined, true)).toBe(135)
    // The connector rejects a request from bob whose Response Topic belongs to alice.
    await bob.subscribe('infer/reply/bob/#')
    const refused = await bob.ask('infer/request/bob/iris/predict', IRIS, {
      responseTopic: 'infer/reply/alice/iris/predict',
    })
    expect(refused.user['code']).toBe('response_topic_forbidden')
    const reply = await alice.ask('infer/request/alice/iris/predict', IRIS)
    expect(reply.json()).toEqual({ predictions: [1] })
    // Everything that the broker had queued for bob arrives before this reply.
    await bob.ask('infer/request/bob/iris/predict', IRIS)
    const topics = bob.received.map(({ topic }) => topic)
    expect(topics.filter((topic) => topic.includes('alice'))).toEqual([])
    expect(alice.received.map(({ payload }) => payload.toString())).not.toContain('forged')
    await alice.close()
    await bob.close()
  })

  test.each([5, 4] as const)(
    'MQTT Explorer shows cards and status to a user, with protocol version %i',
    async (protocolVersion) => {
      const explorer = await connect({ ...ALICE, protocolVersion })
      await explorer.mqtt.subscribeAsync(['#', '$SYS/#'])
      const card = await explorer.wait(({ topic }) => topic === 'infer/models/iris', 'card')
      expect(card.json()).toMatchObject({ name: 'iris' })
      const status = await explorer.wait(({ topic }) => topic === 'infer/status/inferwire-0', 'status')
      expect(status.json()).toMatchObject({ state: 'online' })
      await explorer.close()
    },
  )

  test('MQTT Explorer shows the messages of all users to admin', async () => {
    const explorer = await connect(ADMIN)
    await explorer.mqtt.subscribeAsync(['#', '$SYS/#'])
    const alice = await connect(ALICE)
    await alice.subscribe('infer/reply/alice/#')
    await alice.ask('infer/request/alice/iris/predict', IRIS)
    for (const topic of ['infer/request/alice/iris/predict', 'infer/reply/alice/iris/predict']) {
      await explorer.wait((message) => message.topic === topic, topic)
    }
    await explorer.wait(({ topic }) => topic.startsWith('$SYS/'), '$SYS')
    expect(await explorer.publish('infer/request/alice/iris/predict', IRIS)).toBe(135)
    await alice.close()
    await explorer.close()
  })
})
