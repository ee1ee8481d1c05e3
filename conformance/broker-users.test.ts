// Changes users and access rules of the broker of the manifests while it runs, with real Mosquitto.
import { manifests } from '@inferwire/kubernetes'
import { aclText, hashPassword, setUser } from '@inferwire/mosquitto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TestClient } from './fixtures/mqtt-client.ts'
import { startPodBroker, type PodBroker } from './fixtures/pod-broker.ts'

describe('the broker of the manifests, when its password file changes,', () => {
  let broker: PodBroker
  let url: string
  let clients: TestClient[]

  beforeAll(async () => {
    broker = await startPodBroker(
      manifests({
        broker: { passwordFile: await users({ cam7: 'a', cam8: 'b', cam9: 'c', inferwire: 'i' }) },
      }),
    )
    url = `mqtt://127.0.0.1:${broker.port(1883)}`
    clients = await Promise.all(
      [
        ['cam7', 'a'],
        ['cam8', 'b'],
        ['cam9', 'c'],
        ['inferwire', 'i'],
      ].map(([username, password]) =>
        TestClient.connect(url, { username: username!, password: password!, isPersistent: true }),
      ),
    )
  })

  afterAll(async () => {
    for (const client of clients) await client.mqtt.endAsync(true)
    broker.command.signal('SIGTERM')
    expect((await broker.command.ended).code).toBe(0)
  })

  test('admits an added user, refuses a removed one, and keeps the connections of all others', async () => {
    const [kept, removed, changed, connector] = clients
    let closed = 0
    for (const client of [kept!, connector!]) client.mqtt.on('close', () => (closed += 1))
    await kept!.subscribe('infer/reply/cam7/#')
    const gone = Promise.all([refused(removed!), refused(changed!)])
    broker.mount('password', {
      'password.txt': await users({ cam7: 'a', cam9: 'new', cam10: 'd', inferwire: 'i' }),
    })
    // Mosquitto closes the connections of users who were removed or have a new password.
    await gone
    for (const [username, password] of [
      ['cam10', 'd'],
      ['cam9', 'new'],
    ]) {
      const client = await TestClient.connect(url, { username: username!, password: password! })
      await client.close()
    }
    for (const [username, password] of [
      ['cam8', 'b'],
      ['cam9', 'c'],
    ]) {
      const login = TestClient.connect(url, { username: username!, password: password! })
      await expect(login).rejects.toMatchObject({ code: 135 })
    }
    // The session and the subscription that were made before the change are still in use.
    expect(await connector!.publish('infer/reply/cam7/iris/predict', 'after')).toBe(0)
    await kept!.wait(({ payload }) => payload.toString() === 'after')
    expect(closed).toBe(0)
  })

  test('applies changed access rules to existing connections', async () => {
    const [client] = clients
    // MQTT 5 §3.4.2.1: 0x87 is "Not authorized".
    expect(await client!.publish('other/request/cam7/iris', '{}')).toBe(0x87)
    broker.mount('config', { 'acl.txt': aclText({ root: 'other' }) })
    await expect
      .poll(() => client!.publish('other/request/cam7/iris', '{}'), { timeout: 30_000 })
      .not.toBe(0x87)
  })
})

async function users(passwords: Readonly<Record<string, string>>): Promise<string> {
  let text = ''
  for (const [user, password] of Object.entries(passwords)) {
    text = setUser(text, user, await hashPassword(password, { iterations: 101 }))
  }
  return text
}

// Resolves when the broker refuses the client's attempt to reconnect.
function refused(client: TestClient): Promise<void> {
  return new Promise((resolve) => {
    client.mqtt.on('error', (error) => {
      if ((error as { code?: unknown }).code === 135) resolve()
    })
  })
}
