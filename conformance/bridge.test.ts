// Tests an edge broker with a bridge to the connector's broker. By default Mosquitto's bridge uses MQTT 3.1.1, which
// drops all MQTT 5 properties in both directions.
import { connect, InferwireError } from '@inferwire/client'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { inferwire } from './fixtures/inferwire.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { digest } from './rig/model-behaviours.ts'
import { FakeModelServer } from './rig/model-server.ts'

const BODY = '{"instances":[[1,2]]}'
let upstream: FakeModelServer
const closing: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  upstream = await FakeModelServer.start()
})
afterAll(() => upstream?.stop())
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

interface Site {
  readonly edge: Mosquitto
  readonly central: TestConnector
}

// `prefix` is prepended to the edge's topics at the central broker.
async function startSite(bridgeLines: readonly string[] = [], prefix = ''): Promise<Site> {
  const broker = await startMosquitto()
  closing.push(() => broker.stop())
  const model = { url: upstream.url, protocolVersion: 'v1' as const }
  const central = await runConnector({
    root: `${prefix}infer`,
    broker: { url: broker.url },
    models: { iris: model, error400: model, ready: model },
  })
  closing.push(() => central.connector.stop())
  const remap = prefix === '' ? '' : ` "" ${prefix}`
  const edge = await startMosquitto({
    config: [
      'connection edge',
      `address 127.0.0.1:${broker.port}`,
      ...bridgeLines,
      `topic infer/request/# out 1${remap}`,
      `topic infer/cancel/# out 1${remap}`,
      `topic infer/reply/# in 1${remap}`,
      `topic infer/models/# in 1${remap}`,
      `topic infer/status/# in 1${remap}`,
    ],
  })
  closing.push(() => edge.stop())
  // The arrival of a retained message from the central broker shows that the bridge is connected.
  const probe = await TestClient.connect(edge.url)
  await probe.subscribe('infer/status/#')
  await probe.wait(({ topic }) => topic.startsWith('infer/status/'), 'status over the bridge')
  await probe.close()
  return { edge, central }
}

describe('behind a Mosquitto bridge with the default protocol version, the SDK and the CLI on MQTT 5', () => {
  test('receive exactly one answer to each request, and the model is called once per request', async () => {
    const { edge } = await startSite()
    const client = await connect(edge.url, { identity: 'cam7' })
    closing.push(() => client.close())
    const calls = upstream.calls('iris')
    const reply = await client.infer('iris', BODY, { timeoutMs: 8_000 })
    expect(reply.json()).toEqual({ predictions: [digest(BODY)] })
    // The bridge drops the properties, and the connector invents no values for them.
    expect(reply).toMatchObject({ status: 200, contentType: undefined, headers: {}, attempts: 1 })
    const { code, stdout } = await inferwire([
      'infer',
      'iris',
      '-d',
      BODY,
      '-p',
      String(edge.port),
      '-t',
      '8',
    ])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual({ predictions: [digest(BODY)] })
    expect(upstream.calls('iris')).toBe(calls + 2)
  })

  test("receive the connector's errors with their codes, and the model server's errors", async () => {
    const { edge } = await startSite()
    const client = await connect(edge.url, { identity: 'cam7' })
    closing.push(() => client.close())
    await expect(client.infer('irs', BODY, { timeoutMs: 8_000 })).rejects.toMatchObject({
      code: 'model_not_found',
      status: 404,
    })
    await expect(client.infer('error400', BODY, { timeoutMs: 8_000 })).rejects.toMatchObject({
      code: 'upstream_error',
      message: 'Unrecognized request format: boom',
    })
  })

  test('separate the answers to two clients of the same user', async () => {
    const { edge } = await startSite()
    const clients = await Promise.all(['cam7', 'cam7'].map((identity) => connect(edge.url, { identity })))
    for (const client of clients) closing.push(() => client.close())
    const bodies = Array.from({ length: 40 }, (_, index) => `{"instances":[${index}]}`)
    const answers = await Promise.all(
      bodies.map(async (body, index) => (await clients[index % 2]!.infer('iris', body)).json()),
    )
    expect(answers).toEqual(bodies.map((body) => ({ predictions: [digest(body)] })))
    for (const { stats } of clients) expect(stats).toMatchObject({ ignoredReplies: 0, inFlight: 0 })
  })

  test('explain why a request without an operation can remain unanswered', async () => {
    const { edge } = await startSite()
    const client = await connect(edge.url, { identity: 'cam7' })
    closing.push(() => client.close())
    const error: unknown = await client.infer('iris', '{"x":1}', { timeoutMs: 700 }).catch((reason) => reason)
    expect(error).toBeInstanceOf(InferwireError)
    expect(error).toMatchObject({ code: 'deadline_exceeded' })
    expect((error as InferwireError).message).toMatch(/set the operation/)
  })
})

test('the SDK receives answers behind an MQTT 5 bridge that maps the topics to another root', async () => {
  const { edge } = await startSite(['bridge_protocol_version mqttv50'], 'sites/b/')
  const client = await connect(edge.url, { identity: 'cam7' })
  closing.push(() => client.close())
  const reply = await client.infer('iris', BODY, { timeoutMs: 8_000 })
  expect(reply.json()).toEqual({ predictions: [digest(BODY)] })
  expect(reply.contentType).toBe('application/json')
})
