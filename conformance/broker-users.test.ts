// Changes users and access rules of the broker of the manifests while it runs, with real Mosquitto.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect as tlsConnect } from 'node:tls'
import { connect } from '@inferwire/client'
import { manifests } from '@inferwire/kubernetes'
import { bundledModels, startModelServer, type ModelServer } from '@inferwire/model-server'
import { aclText, hashPassword, setUser } from '@inferwire/mosquitto'
import { connectAsync } from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startInferwire } from './fixtures/inferwire.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import type { RunningCommand } from './fixtures/processes.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { startPodBroker, type PodBroker } from './manifests/pod-broker.ts'

const NEW_KEY = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'

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

describe('the broker of the manifests, with client certificates,', () => {
  let folder: string
  let broker: PodBroker
  let models: ModelServer
  let connector: RunningCommand

  beforeAll(async () => {
    folder = tempFolder('certificates')
    authority('ca')
    authority('other-ca')
    issue('ca', 'localhost')
    issue('ca', 'cam7')
    issue('other-ca', 'cam8')
    const tls = { host: 'mqtt.example.org', secretName: 'mqtt-tls', clientCaSecret: 'devices-ca' }
    broker = await startPodBroker(
      manifests({ broker: { passwordFile: await users({ inferwire: 'i' }), tls, expose: 'loadbalancer' } }),
      { tls: serverFiles('localhost'), 'client-ca': { 'ca.crt': pem('ca.crt') } },
    )
    models = await startModelServer({ port: 0, models: bundledModels() })
    writeFileSync(join(folder, 'password'), 'i')
    const plainUrl = `mqtt://127.0.0.1:${broker.port(1883)}`
    const login = ['-u', 'inferwire', '--password-file', join(folder, 'password')]
    const model = ['--model', `iris=${models.url}`, '--admin-port', '0']
    connector = startInferwire(['connect', '--broker', plainUrl, ...login, ...model])
    await connector.said(/ready/)
  })

  afterAll(async () => {
    connector.signal('SIGTERM')
    await connector.ended
    await models.close()
    broker.command.signal('SIGTERM')
    await broker.command.ended
  })

  test("takes the certificate's common name as the user name, without a password", async () => {
    const client = await connect(secureUrl(), { ...certificateOf('cam7'), identity: 'cam7' })
    expect(await client.predict('iris', [[6.8, 2.8, 4.8, 1.4]])).toEqual([1])
    await client.close()
  })

  test('restricts the certificate to its own topics, even if the client claims another user name', async () => {
    const mqtt = await connectAsync(secureUrl(), {
      ...certificateOf('cam7'),
      username: 'cam9',
      protocolVersion: 5,
    })
    const publish = (topic: string): Promise<unknown> => mqtt.publishAsync(topic, '{}', { qos: 1 })
    await expect(publish('infer/request/cam9/iris')).rejects.toMatchObject({ code: 0x87 })
    await expect(publish('infer/request/cam7/iris')).resolves.toMatchObject({ cmd: 'publish' })
    await mqtt.endAsync()
  })

  test.each([
    ['no certificate', () => ({ ca: pem('ca.crt') })],
    ['a certificate of another authority', () => ({ ...certificateOf('cam8'), ca: pem('ca.crt') })],
  ])('refuses a client with %s', async (_, options) => {
    const login = { ...options(), username: 'inferwire', password: 'i', reconnectPeriod: 0 }
    await expect(connectAsync(secureUrl(), login)).rejects.toThrow()
  })

  test('keeps the connections of certificates when users change, and presents a renewed server certificate', async () => {
    const client = await connectAsync(secureUrl(), { ...certificateOf('cam7'), protocolVersion: 5 })
    let closed = 0
    client.on('close', () => (closed += 1))
    const before = await serverFingerprint()
    issue('ca', 'localhost')
    broker.mount('tls', serverFiles('localhost'))
    broker.mount('password', { 'password.txt': await users({ inferwire: 'i', ann: 'x' }) })
    await expect.poll(serverFingerprint, { timeout: 30_000 }).not.toBe(before)
    const ann = await TestClient.connect(`mqtt://127.0.0.1:${broker.port(1883)}`, {
      username: 'ann',
      password: 'x',
    })
    await ann.close()
    expect(closed).toBe(0)
    await client.endAsync()
  })

  function secureUrl(): string {
    return `mqtts://localhost:${broker.port(8883)}`
  }

  function openssl(line: string): void {
    execFileSync('openssl', line.split(' '), { cwd: folder, stdio: 'ignore' })
  }

  function authority(name: string): void {
    openssl(`req -x509 ${NEW_KEY} -days 1 -subj /CN=${name} -keyout ${name}.key -out ${name}.crt`)
  }

  function issue(ca: string, name: string): void {
    openssl(
      `req ${NEW_KEY} -subj /CN=${name} -addext subjectAltName=DNS:${name} -keyout ${name}.key -out ${name}.csr`,
    )
    openssl(
      `x509 -req -copy_extensions copy -in ${name}.csr -CA ${ca}.crt -CAkey ${ca}.key -CAcreateserial -days 1 -out ${name}.crt`,
    )
  }

  function pem(file: string): Buffer {
    return readFileSync(join(folder, file))
  }

  function serverFiles(name: string): Readonly<Record<string, Buffer>> {
    return { 'tls.crt': pem(`${name}.crt`), 'tls.key': pem(`${name}.key`) }
  }

  function certificateOf(name: string): { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer } {
    return { ca: pem('ca.crt'), cert: pem(`${name}.crt`), key: pem(`${name}.key`) }
  }

  async function serverFingerprint(): Promise<string> {
    const socket = tlsConnect({ host: 'localhost', port: broker.port(8883), ...certificateOf('cam7') })
    await once(socket, 'secureConnect')
    const { fingerprint256 } = socket.getPeerCertificate()
    socket.destroy()
    return fingerprint256
  }
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
