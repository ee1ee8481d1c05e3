// Tests the SDK against a real Mosquitto with faults: repeats (D10), limits, sockets and exit, with both MQTT versions.
// A stand-in for the connector, built with mqtt.js, sends the replies; contract.test.ts tests the connector's replies.
import { Socket } from 'node:net'
import { connect } from '@inferwire/client'
import { aclText } from '@inferwire/mosquitto'
import { connectAsync } from 'mqtt'
import { describe, expect, test, vi } from 'vitest'
import { startMosquitto } from './fixtures/mosquitto.ts'
import { start } from './fixtures/processes.ts'
import { failureOf, sdkAndBroker } from './fixtures/sdk-and-broker.ts'

interface StandInRequest {
  readonly topic: string
  readonly body: string
  /** Correlation Data in hexadecimal; with MQTT 3.1.1, the last topic level instead. */
  readonly correlation: string
}
type Reply = () => Promise<void>
type Behaviour = (request: StandInRequest, reply: Reply) => void

const BODY = { instances: [[6.8, 2.8, 4.8, 1.4]] }
const VERSIONS = [5, '3.1.1'] as const
const echo: Behaviour = (_request, reply) => void reply().catch(() => {})
const silent: Behaviour = () => {}

const sdk = sdkAndBroker()
const { open, cleanUps } = sdk

// Starts the stand-in, which reconnects after a broker restart. `reply` publishes the body to the contract's reply
// topic.
async function respond(behaviour: Behaviour, url = sdk.broker.url, user = {}): Promise<StandInRequest[]> {
  const requests: StandInRequest[] = []
  const mqtt = await connectAsync(url, { ...user, protocolVersion: 5, reconnectPeriod: 50 })
  cleanUps.push(() => mqtt.endAsync(true))
  mqtt.on('error', () => {})
  mqtt.on('message', (topic, payload, packet) => {
    const { correlationData, responseTopic } = packet.properties ?? {}
    const correlation = correlationData?.toString('hex') ?? topic.slice(topic.lastIndexOf('/') + 1)
    const request = { topic, body: payload.toString(), correlation }
    requests.push(request)
    behaviour(request, async () => {
      await mqtt.publishAsync(responseTopic ?? topic.replace('/request/', '/reply/'), payload, {
        qos: 1,
        properties: {
          userProperties: { status: '200' },
          ...(correlationData === undefined ? {} : { correlationData }),
        },
      })
    })
  })
  await mqtt.subscribeAsync('infer/request/#', { qos: 1 })
  return requests
}

describe.each(VERSIONS)('on MQTT version %s', (mqttVersion) => {
  test('two clients of one user do not see each other’s replies', async () => {
    await respond(echo)
    const options = { mqttVersion, identity: 'cam7' }
    const [first, second] = [await open(options), await open(options)]
    await Promise.all([first.infer('iris', BODY), second.infer('iris', BODY)])
    expect([first.stats.ignoredReplies, second.stats.ignoredReplies]).toEqual([0, 0])
  })

  test('a request ends at its deadline, or when it is aborted', async () => {
    await respond(silent)
    const client = await open({ mqttVersion })
    expect(await failureOf(client.infer('iris', BODY, { timeoutMs: 100 }))).toMatchObject({
      code: 'deadline_exceeded',
      status: 504,
    })
    const signal = AbortSignal.timeout(50)
    expect(await failureOf(client.infer('iris', BODY, { signal }))).toMatchObject({ code: 'cancelled' })
    expect(client.stats.inFlight).toBe(0)
  })

  test('a repeated PUBLISH is part of the same request: the first reply is returned, and the second reply is ignored', async () => {
    const requests = await respond((_request, reply) => {
      // Both copies are answered after the second has arrived.
      if (requests.length === 2) void reply().then(() => reply())
    })
    const client = await open({ mqttVersion })
    const reply = await client.infer('iris', BODY, { repeatAfterMs: 40 })
    expect(reply.attempts).toBe(2)
    expect(requests[1]).toEqual(requests[0])
    await vi.waitFor(() => expect(client.stats.ignoredReplies).toBe(1), 5_000)
  })

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'a request that the broker has acknowledged survives %s of the broker',
    async (signal) => {
      let isAnswering = false
      const requests = await respond((request, reply) => {
        if (isAnswering) echo(request, reply)
      })
      const client = await open({ mqttVersion })
      // With MQTT 5, the client need not repeat requests after a timeout: the PUBACK for a resent request reports a
      // missing subscriber (0x10).
      const repeatAfterMs = mqttVersion === 5 ? Infinity : 200
      const pending = client.infer('iris', BODY, { repeatAfterMs, timeoutMs: 40_000 })
      await vi.waitFor(() => expect(requests.length).toBeGreaterThan(0), 10_000)
      await sdk.broker.stop(signal)
      isAnswering = true
      await sdk.broker.start()
      const reply = await pending
      expect(reply.json()).toEqual(BODY)
      expect(reply.attempts).toBeGreaterThan(1)
      expect(requests.length).toBeGreaterThan(1)
      expect(new Set(requests.map((request) => JSON.stringify(request))).size).toBe(1)
    },
  )

  test('200 requests each receive their own answer although the broker is killed five times', async () => {
    await respond(echo)
    const client = await open({ mqttVersion })
    const ask = async (index: number): Promise<unknown> => {
      const body = { instances: [index] }
      const reply = await client.infer('iris', body, {
        repeatAfterMs: 300,
        timeoutMs: 50_000,
        waitForConnector: true,
      })
      return reply.json()
    }
    const answers: Promise<unknown>[] = []
    for (let kill = 0; kill < 5; kill++) {
      for (let index = 0; index < 40; index++) answers.push(ask(answers.length))
      // The broker is killed in the middle: some requests are answered, some are not.
      await answers.at(-40)
      await sdk.broker.stop('SIGKILL')
      await sdk.broker.start()
    }
    expect(await Promise.all(answers)).toEqual(answers.map((_answer, index) => ({ instances: [index] })))
    expect(client.stats.inFlight).toBe(0)
  })
})

test('requests that are made while the broker is unreachable are sent later; if the deadline passes first, the error names the reason', async () => {
  const client = await open()
  await sdk.broker.stop('SIGKILL')
  await vi.waitFor(() => expect(client.isConnected).toBe(false), 10_000)
  await expect(client.infer('iris', BODY, { timeoutMs: 300 })).rejects.toMatchObject({
    code: 'deadline_exceeded',
    message: expect.stringMatching(
      /within 300 ms \(sent 0 times\)\. (Could not connect to the broker at mqtt:.*ECONNREFUSED|The connection to the broker is lost)/,
    ) as string,
  })
  await expect(client.models({ timeoutMs: 50 })).rejects.toMatchObject({ code: 'broker_unreachable' })
  const pending = client.infer('iris', BODY, { waitForConnector: true })
  await sdk.broker.start()
  await respond(echo)
  expect((await pending).json()).toEqual(BODY)
})

test('if there is no subscriber, a request fails with no_connector at once; with waitForConnector it waits for a connector', async () => {
  const client = await open()
  const error = await failureOf(client.infer('iris', BODY))
  expect(error).toMatchObject({ code: 'no_connector', retryable: true, status: undefined })
  expect(error.message).toMatch(/^No connector is subscribed to "infer\/request\/.*\/iris\/predict"\.$/)
  const late = await failureOf(client.infer('iris', BODY, { waitForConnector: true, timeoutMs: 300 }))
  expect(late).toMatchObject({ code: 'deadline_exceeded' })
  expect(late.message).toMatch(/No connector is subscribed/)
  const patient = client.infer('iris', BODY, { waitForConnector: true })
  await respond(echo)
  expect((await patient).status).toBe(200)
})

test("a wrong password and the use of another user's topics are rejected with not_authorized", async () => {
  const guarded = await startMosquitto({ users: { cam7: 'secret', inferwire: 'c' }, acl: aclText() })
  cleanUps.push(() => guarded.stop())
  await respond(echo, guarded.url, { username: 'inferwire', password: 'c' })
  for (const mqttVersion of VERSIONS) {
    const wrong = { mqttVersion, username: 'cam7', password: 'wrong' }
    expect(await failureOf(connect(guarded.url, wrong))).toMatchObject({ code: 'not_authorized' })
    const client = await open({ mqttVersion, username: 'cam7', password: 'secret' }, guarded.url)
    expect((await client.infer('iris', BODY)).json()).toEqual(BODY)
  }
  const liar = await open({ username: 'cam7', password: 'secret', identity: 'cam8' }, guarded.url)
  expect(await failureOf(liar.infer('iris', BODY))).toMatchObject({
    code: 'not_authorized',
    retryable: false,
  })
})

test('the broker’s Receive Maximum and Maximum Packet Size are respected', async () => {
  const narrow = await startMosquitto({ config: ['max_packet_size 5000', 'max_inflight_messages 5'] })
  cleanUps.push(() => narrow.stop())
  await respond(echo, narrow.url)
  const client = await open({}, narrow.url)
  const error = await failureOf(client.infer('iris', 'x'.repeat(5_000)))
  expect(error).toMatchObject({ code: 'payload_too_large' })
  expect(error.message).toMatch(/the broker accepts at most 5000\.$/)
  const many = Array.from({ length: 50 }, (_, index) => client.infer('iris', { instances: [index] }))
  expect((await Promise.all(many)).every(({ attempts }) => attempts === 1)).toBe(true)
})

test('on MQTT 3.1.1, a packet that the broker rejects does not block other packets, and the error names its size', async () => {
  const narrow = await startMosquitto({ config: ['max_packet_size 5000'] })
  cleanUps.push(() => narrow.stop())
  await respond(echo, narrow.url)
  const client = await open({ mqttVersion: '3.1.1' }, narrow.url)
  const large = failureOf(client.infer('iris', { instances: ['x'.repeat(5_000)] }, { timeoutMs: 3_000 }))
  expect((await client.infer('iris', BODY)).status).toBe(200)
  const error = await large
  expect(error).toMatchObject({ code: 'payload_too_large', retryable: false })
  expect(error.message).toMatch(/does not accept packets of that size: .* 5\d{3} bytes were sent/)
})

test('Nagle’s algorithm is disabled on the real socket, even after a reconnect', async () => {
  const spy = vi.spyOn(Socket.prototype, 'setNoDelay')
  try {
    const client = await open()
    const toBroker = (): Socket[] =>
      (spy.mock.contexts as Socket[]).filter(
        (socket, call) => socket.remotePort === sdk.broker.port && spy.mock.calls[call]![0] === true,
      )
    expect(toBroker()).toHaveLength(1)
    toBroker()[0]!.destroy()
    await vi.waitFor(() => expect(client.stats.reconnects).toBe(1), 10_000)
    expect(new Set(toBroker()).size).toBe(2)
    expect(client.isConnected).toBe(true)
  } finally {
    spy.mockRestore()
  }
})

test.each(['connected', 'dialing'])('after close() nothing keeps the process alive (%s)', async (state) => {
  const script = `
    import { connect } from '@inferwire/client'
    const client = await connect(process.argv[1], { clientId: process.argv[2] })
    const request = client.infer('iris', {}, { waitForConnector: true }).catch(({ code }) => code)
    process.stdout.write('ready')
    if (process.argv[2] === 'dialing') while (client.isConnected) await new Promise(setImmediate)
    await client.close()
    process.stdout.write(' ' + await request)
  `
  const child = start(process.execPath, ['--input-type=module', '-e', script, sdk.broker.url, state])
  if (state === 'dialing') {
    await child.said(/ready/)
    await sdk.broker.stop('SIGKILL')
  }
  expect(await child.ended).toMatchObject({ code: 0, stdout: 'ready cancelled', stderr: '' })
  if (state === 'dialing') await sdk.broker.start()
})
