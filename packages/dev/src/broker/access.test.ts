// Tests logins and access rights of the embedded broker with a password file.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hashPassword, setUser } from '@inferwire/mosquitto'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { readAccess, startBroker, type Broker, type BrokerAccess } from './index.ts'
import { RawClient } from './testing/raw-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'inferwire-access-'))
const file = join(folder, 'passwords')
const lines: string[] = []
let text = ''
let access: BrokerAccess
let broker: Broker
const clients: MqttClient[] = []

beforeAll(async () => {
  text = setUser(text, 'alice', await hashPassword('pä:ss $w', { iterations: 10 }))
  text = setUser(text, 'bob', await hashPassword('b', { algorithm: 'sha512' }))
  writeFileSync(file, `# users\n${text}`)
  access = readAccess(file)
  broker = await startBroker('embedded', { mqttPort: 0, wsPort: 0, access, log: (line) => lines.push(line) })
})

afterEach(async () => {
  for (const client of clients.splice(0)) await client.endAsync(true)
  writeFileSync(file, text)
})

afterAll(async () => {
  await broker.close()
  rmSync(folder, { recursive: true, force: true })
})

async function logIn(
  username: string,
  password: string | Buffer,
  more: IClientOptions = {},
  url = broker.url,
): Promise<MqttClient> {
  const client = await connectAsync(url, {
    protocolVersion: 5,
    reconnectPeriod: 0,
    username,
    password: password as string,
    ...more,
  })
  clients.push(client)
  return client
}

describe('a login', () => {
  test.each([5, 4] as const)(
    'is accepted with the right password (protocol version %d)',
    async (protocolVersion) => {
      expect((await logIn('alice', 'pä:ss $w', { protocolVersion })).connected).toBe(true)
      expect((await logIn('bob', 'b', { protocolVersion }, broker.wsUrl)).connected).toBe(true)
    },
  )

  test.each([
    ['alice', 'b'],
    ['alice', ''],
    ['carol', 'b'],
    ['__proto__', 'b'],
    ['bob', 'b\0'],
    ['bob', Buffer.from([0x62, 0xff])],
    ['demo', 'demo'],
  ])('is refused for the user %j with the password %j', async (username, password) => {
    await expect(logIn(username, password)).rejects.toMatchObject({ code: 135 })
    await expect(logIn(username, password, { protocolVersion: 4 })).rejects.toMatchObject({ code: 5 })
  })

  test('is refused without a user name', async () => {
    await expect(connectAsync(broker.url, { protocolVersion: 5, reconnectPeriod: 0 })).rejects.toMatchObject({
      code: 135,
    })
  })

  test('is checked against the current content of the password file', async () => {
    writeFileSync(file, setUser(text, 'carol', await hashPassword('c', { iterations: 10 })))
    expect((await logIn('carol', 'c')).connected).toBe(true)
    writeFileSync(file, text)
    await expect(logIn('carol', 'c')).rejects.toMatchObject({ code: 135 })
    rmSync(file)
    await expect(logIn('bob', 'b')).rejects.toMatchObject({ code: 135 })
    await expect.poll(() => lines.at(-1)).toContain('cannot be read')
  })
})

describe('a user', () => {
  test('may publish only under its own name, and receives reason code 0x87 for any other topic', async () => {
    const alice = await RawClient.connect(broker.url, {
      username: 'alice',
      password: Buffer.from('pä:ss $w'),
    })
    const publish = async (topic: string, messageId: number): Promise<number | undefined> => {
      alice.send({ cmd: 'publish', topic, payload: '', qos: 1, messageId, retain: false, dup: false })
      return (await alice.next('puback')).reasonCode
    }
    expect(await publish('infer/request/alice/iris', 1)).toBe(0x10)
    expect(await publish('infer/request/bob/iris', 2)).toBe(0x87)
    expect(await publish('infer/reply/alice/iris', 3)).toBe(0x87)
    expect(await publish('infer/models/iris', 4)).toBe(0x87)
    expect(lines.join('\n')).toContain('may not publish to "infer/request/bob/iris"')
    await alice.destroy()
  })

  test('receives only messages that it may read (live, retained or queued), whatever its filter is', async () => {
    const { username, password } = access.connector
    const connector = await logIn(username, password)
    const persistent = {
      username: 'alice',
      password: Buffer.from('pä:ss $w'),
      clientId: 'alice-1',
      clean: false,
      properties: { sessionExpiryInterval: 60 },
    }
    const first = await RawClient.connect(broker.url, persistent)
    expect(await first.subscribe('#')).toBe(1)
    expect(await first.subscribe('infer/reply/bob/#')).toBe(1)
    await first.destroy()
    await connector.publishAsync('infer/models/iris', 'card', { qos: 1, retain: true })
    await connector.publishAsync('infer/reply/bob/iris', 'for bob', { qos: 1, retain: true })
    await connector.publishAsync('infer/reply/alice/iris', 'waited', { qos: 1 })
    const alice = await RawClient.connect(broker.url, persistent)
    await connector.publishAsync('infer/reply/bob/iris', 'for bob', { qos: 0 })
    await connector.publishAsync('infer/reply/alice/iris', 'now', { qos: 1 })
    expect((await alice.payloads()).sort()).toEqual(['card', 'now', 'waited'])
    await alice.subscribe('infer/#')
    expect(await alice.payloads()).toEqual(['card'])
    await alice.destroy()
  })

  test.each([
    [5, 0x87],
    [4, 5],
  ] as const)(
    "cannot take over, resume or end another user's session (protocol version %d)",
    async (version, code) => {
      const session = {
        protocolVersion: version,
        clientId: `own-${version}`,
        clean: false,
        properties: { sessionExpiryInterval: 60 },
      }
      const asAlice = { ...session, username: 'alice', password: Buffer.from('pä:ss $w') }
      const asBob = { ...session, username: 'bob', password: Buffer.from('b') }
      const alice = await RawClient.connect(broker.url, asAlice)
      await alice.subscribe('infer/reply/alice/#')
      for (const clean of [false, true]) {
        await expect(RawClient.connect(broker.url, { ...asBob, clean })).rejects.toThrow(`CONNACK ${code}`)
      }
      expect(await alice.payloads()).toEqual([])
      await alice.destroy()
      const connector = await logIn(access.connector.username, access.connector.password)
      await connector.publishAsync('infer/reply/alice/iris', 'waited', { qos: 1 })
      for (const clean of [false, true]) {
        await expect(RawClient.connect(broker.url, { ...asBob, clean })).rejects.toThrow(`CONNACK ${code}`)
      }
      const back = await RawClient.connect(broker.url, asAlice)
      expect(await back.payloads()).toEqual(['waited'])
      await back.destroy()
    },
  )

  test('causes only one log line of each kind, even if thousands of its publishes are denied', async () => {
    lines.length = 0
    const bob = await RawClient.connect(broker.url, { username: 'bob', password: Buffer.from('b') })
    for (let index = 0; index < 2_000; index++) {
      for (const topic of [`infer/models/${index}`, `$SYS/${index}`]) {
        bob.send({ cmd: 'publish', topic, payload: '', qos: 0, retain: false, dup: false })
      }
    }
    expect(await bob.payloads()).toEqual([])
    expect(lines).toEqual([
      expect.stringContaining('may not publish to "infer/models/0"'),
      expect.stringContaining('$ topics'),
    ])
    await bob.destroy()
  })

  test('does not receive messages that it may not read, even through a shared subscription', async () => {
    const { username, password } = access.connector
    const filter = '$share/connectors/infer/request/#'
    const connector = await RawClient.connect(broker.url, { username, password: Buffer.from(password) })
    await connector.subscribe(filter)
    const bob = await RawClient.connect(broker.url, { username: 'bob', password: Buffer.from('b') })
    expect(await bob.subscribe(filter)).toBe(1)
    const alice = await logIn('alice', 'pä:ss $w')
    for (const payload of ['1', '2', '3']) {
      await alice.publishAsync('infer/request/alice/iris', payload, { qos: 1 })
    }
    expect(await connector.payloads()).toEqual(['1', '2', '3'])
    expect(await bob.payloads()).toEqual([])
    await Promise.all([connector.destroy(), bob.destroy()])
  })

  test('cannot set a Will on a topic that it may not publish to', async () => {
    const { username, password } = access.connector
    const connector = await logIn(username, password)
    await connector.subscribeAsync('infer/request/#', { qos: 1 })
    const got = new Promise<string>((resolve) => connector.on('message', (topic) => resolve(topic)))
    for (const name of ['alice', 'bob']) {
      const topic = `infer/request/${name}/iris`
      const bob = await logIn('bob', 'b', {
        will: { topic, payload: Buffer.from(''), qos: 1, retain: false },
      })
      bob.stream.destroy()
    }
    expect(await got).toBe('infer/request/bob/iris')
  })
})

test('rejects a file without usable logins, a missing file, and a broker that is not embedded, each with a remedy', async () => {
  const empty = join(folder, 'empty')
  writeFileSync(empty, 'alice:plain\n')
  expect(() => readAccess(empty)).toThrow('--lint')
  expect(() => readAccess(join(folder, 'none'))).toThrow('passwd -c')
  for (const choice of ['mosquitto', 'mqtt://127.0.0.1:1']) {
    await expect(startBroker(choice, { mqttPort: 0, wsPort: 0, access })).rejects.toThrow('embedded broker')
  }
})
