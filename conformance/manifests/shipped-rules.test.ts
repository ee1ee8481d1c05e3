// Tests the access rules of resources/mosquitto in a real Mosquitto: the read-only user admin, and the isolation of
// other users.
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startMosquitto, type Mosquitto } from '../fixtures/mosquitto.ts'
import { TestClient } from '../fixtures/mqtt-client.ts'
import { parse } from 'yaml'

const NOT_AUTHORIZED = 135
const USERS = { inferwire: 'i', alice: 'a', bob: 'b', admin: 'admin-password' }
const TOPICS = [
  'infer/request/alice/iris/predict',
  'infer/reply/alice/iris/predict',
  'infer/cancel/bob/iris/predict/1',
  'infer/models/iris',
  'infer/status/inferwire-0',
]

const manifest = new URL('../../resources/mosquitto/cm-mosquitto-config.yaml', import.meta.url)
const { data } = parse(readFileSync(manifest, 'utf8')) as { data: { 'acl.txt': string } }
const acl = data['acl.txt']

let broker: Mosquitto

beforeAll(async () => {
  broker = await startMosquitto({ users: USERS, acl })
})

afterAll(async () => {
  await broker.stop()
})

test('admin receives the messages of all users and of the $SYS topics', async () => {
  const admin = await connect('admin')
  await admin.mqtt.subscribeAsync(['#', '$SYS/#'])
  await publishAsOwners()
  for (const topic of TOPICS) await admin.wait((message) => message.topic === topic, topic)
  await admin.wait(({ topic }) => topic.startsWith('$SYS/'), '$SYS')
  await admin.close()
})

test('admin cannot publish as another user or as the connector', async () => {
  const admin = await connect('admin')
  for (const topic of [...TOPICS, 'infer/request/bob/iris/predict', 'plant/other', '$SYS/broker/version']) {
    expect([topic, await admin.publish(topic, 'forged')]).toEqual([topic, NOT_AUTHORIZED])
  }
  await admin.close()
})

test('a user other than admin receives no requests or replies of other users, and no $SYS messages', async () => {
  const bob = await connect('bob')
  await bob.mqtt.subscribeAsync(['#', '$SYS/#', 'infer/reply/alice/#', 'infer/request/#'])
  await publishAsOwners()
  // Messages from one publisher arrive in order. This status is published last, so no message follows it.
  await bob.wait(({ topic }) => topic === 'infer/status/inferwire-0', 'status')
  const topics = new Set(bob.received.map(({ topic }) => topic))
  expect([...topics].toSorted()).toEqual(['infer/models/iris', 'infer/status/inferwire-0'])
  await bob.close()
})

test('admin cannot log in until the password file contains the user admin', async () => {
  const { admin: _, ...users } = USERS
  const fresh = await startMosquitto({ users, acl })
  const login = { username: 'admin', password: '' }
  await expect(TestClient.connect(fresh.url, login)).rejects.toMatchObject({ code: NOT_AUTHORIZED })
  await fresh.stop()
})

function connect(username: keyof typeof USERS): Promise<TestClient> {
  return TestClient.connect(broker.url, { username, password: USERS[username] })
}

async function publishAsOwners(): Promise<void> {
  for (const user of ['alice', 'bob', 'inferwire'] as const) {
    const client = await connect(user)
    for (const topic of TOPICS) {
      const owner = topic.split('/')[2]
      const isOwn = /^infer\/(?:request|cancel)\//.test(topic) ? owner === user : user === 'inferwire'
      if (isOwn) expect([topic, await client.publish(topic, '{}')]).toEqual([topic, 0])
    }
    await client.close()
  }
}
