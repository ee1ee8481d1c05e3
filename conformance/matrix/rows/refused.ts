// A row with replies that the broker rejects: the requests are settled and counted, and the replies are not retried in
// a loop.
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { PacketScanner } from '../../rig/wire.ts'
import { TestClient, type Received } from '../../fixtures/mqtt-client.ts'
import { amountOf, Findings, type Row } from '../row.ts'
import { onStage, pause, until, type Stage } from '../stage.ts'
import { startWorld, type World } from '../world.ts'

const BYTES_MAX = 20_000

/** Three brokers that reject replies for different reasons. */
export const refusedReplies: Row = {
  name: 'refused-replies',
  what: 'the ACL denies the reply (0x87), the reply exceeds the Maximum Packet Size (0x95), or the quota is exceeded (0x97, sent by a proxy in place of the broker)',
  criterion:
    'every request is settled and counted, and its model is called once; 0 reconnects; later requests are answered',
  fullSeconds: 40,
  isTimed: false,
  run: (options) =>
    onStage(async (stage) => {
      const { say } = options
      const findings = new Findings()
      const count = amountOf(options, 200, 20)
      for (const refusal of [denied, tooLarge, overQuota]) {
        const figures = await refusal(stage, count)
        say(JSON.stringify(figures))
        const { name } = figures
        findings.ran(`${name}_requests`, count, 200)
        findings.figure(`${name}_calls`, figures.calls)
        findings.figure(`${name}_dropped`, figures.dropped)
        findings.figure(`${name}_errors_delivered`, figures.errors)
        findings.figure(`${name}_unacknowledged`, figures.held)
        findings.check(figures.calls === count, `${name}: ${figures.calls} calls for ${count} requests`)
        findings.check(
          figures.dropped + figures.errors === count,
          `${name}: ${figures.dropped} dropped replies and ${figures.errors} errors for ${count} requests`,
        )
        findings.check(figures.held === 0, `${name}: ${figures.held} unacknowledged requests`)
        findings.check(figures.connections === 1, `${name}: ${figures.connections} connections`)
        findings.check(figures.next === '200', `${name}: the next request was answered with ${figures.next}`)
      }
      return findings.result
    }),
}

interface Refused {
  readonly name: string
  readonly calls: number
  /** Number of requests that were settled without a reply. */
  readonly dropped: number
  /** Number of errors that the client received instead of the reply. */
  readonly errors: number
  readonly held: number
  readonly connections: number
  /** Status of a later request whose reply is not rejected. */
  readonly next: string
}

async function denied(stage: Stage, count: number): Promise<Refused> {
  const world = await startWorld(stage, {
    models: { echo: {}, iris: {} },
    env: { INFERWIRE_BROKER_PASSWORD: 'p' },
    config: { broker: { username: 'inferwire' } },
    broker: {
      users: { inferwire: 'p', cam: 'p' },
      acl: [
        'user inferwire',
        'topic read infer/request/#',
        'topic read infer/cancel/#',
        'topic write infer/reply/allowed/#',
        'topic write infer/models/#',
        'topic write infer/status/#',
        'user cam',
        'topic readwrite #',
        '',
      ].join('\n'),
    },
  })
  const client = await TestClient.connect(world.broker.url, { username: 'cam', password: 'p' })
  stage.later(() => client.close())
  for (let index = 0; index < count; index++) {
    await client.publish('infer/request/denied/echo/predict', `{"instances":[${index}]}`)
  }
  return await outcome('acl', world, client, 0)
}

async function tooLarge(stage: Stage, count: number): Promise<Refused> {
  const world = await startWorld(stage, {
    models: { echo: {}, iris: {} },
    broker: { config: [`max_packet_size ${BYTES_MAX}`] },
  })
  const client = await TestClient.connect(world.broker.url)
  stage.later(() => client.close())
  await client.subscribe('infer/reply/#')
  // The request does not exceed the limit, but the reply does, because status and timings are added to it.
  const before = client.received.length
  for (let index = 0; index < count; index++) {
    const head = `{"instances":[${index}],"pad":"`
    await client.publish(
      'infer/request/large/echo/predict',
      `${head}${'x'.repeat(BYTES_MAX - 60 - head.length)}"}`,
    )
  }
  await until(() => client.received.length - before === count, 10_000)
  const errors = client.received.filter(({ user }) => user['code'] === 'response_too_large').length
  return await outcome('too_large', world, client, errors)
}

async function overQuota(stage: Stage, count: number): Promise<Refused> {
  const quota = await startQuota(stage)
  const world = await startWorld(stage, {
    models: { echo: {}, iris: {} },
    config: { broker: { url: quota.url } },
    through: (port) => quota.target(port),
  })
  const client = await TestClient.connect(world.broker.url)
  stage.later(() => client.close())
  quota.isExceeded = true
  for (let index = 0; index < count; index++) {
    await client.publish('infer/request/quota/echo/predict', `{"instances":[${index}]}`)
  }
  await until(async () => (await world.connector.metric('inferwire_unacknowledged_requests')) === 0, 10_000)
  quota.isExceeded = false
  return await outcome('quota', world, client, 0)
}

async function outcome(name: string, world: World, client: TestClient, errors: number): Promise<Refused> {
  const { connector, upstream } = world
  await until(async () => (await connector.metric('inferwire_unacknowledged_requests')) === 0, 10_000)
  // Long enough for a retry loop to show itself.
  await pause(500)
  await client.subscribe('infer/reply/allowed/#')
  const next: Received = await client.ask('infer/request/allowed/iris/predict', '{"instances":[1]}')
  return {
    name,
    calls: await upstream.calls('echo'),
    dropped: await connector.metric('inferwire_unanswered_requests_total', 'reply_refused'),
    errors,
    held: await connector.metric('inferwire_unacknowledged_requests'),
    connections: await connector.metric('inferwire_mqtt_connections_total'),
    next: next.user['status'] ?? 'nothing',
  }
}

interface Quota {
  readonly url: string
  /** Whether the proxy sets the reason code of PUBACKs to the connector to 0x97. */
  isExceeded: boolean
  target(port: number): void
}

// Starts a proxy that changes the reason code of PUBACKs: Mosquitto 2.0 never sends 0x97.
async function startQuota(stage: Stage): Promise<Quota> {
  let targetPort = 0
  const quota = { url: '', isExceeded: false, target: (port: number) => void (targetPort = port) }
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (client) => {
    const broker = connect({ port: targetPort, host: '127.0.0.1', noDelay: true })
    const scanner = new PacketScanner((head, bytes, start, end) => {
      const isRefused = quota.isExceeded && head >> 4 === 4
      if (isRefused) client.write(Buffer.from([0x40, 3, bytes[start]!, bytes[start + 1]!, 0x97]))
      else
        client.write(Buffer.concat([Buffer.from([head]), lengthOf(end - start), bytes.subarray(start, end)]))
    })
    client.pipe(broker)
    broker.on('data', (chunk: Buffer) => scanner.push(chunk))
    for (const [socket, other] of [
      [client, broker],
      [broker, client],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => other.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  stage.later(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  quota.url = `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`
  return quota
}

// Encodes a Remaining Length (MQTT 5 §1.5.5).
function lengthOf(value: number): Buffer {
  const bytes: number[] = []
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...bytes, rest])
    bytes.push((rest & 0x7f) | 0x80)
  }
}
