// Tests the client with a real Mosquitto. An echo responder based on mqtt.js replaces the connector.
import { getEventListeners, once } from 'node:events'
import { connectAsync, type IPublishPacket, type MqttClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { startMosquitto, type Mosquitto } from '../../../conformance/fixtures/mosquitto.ts'
import type { Client } from './client.ts'
import { connect, InferwireError, type ConnectOptions } from './index.ts'

type Request = Readonly<{ topic: string; text: string; packet: IPublishPacket }>
type Respond = (request: Request, mqtt: MqttClient) => void

let broker: Mosquitto
const closing: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  broker = await startMosquitto()
})
afterAll(() => broker.stop())
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()))
})

async function open(options: ConnectOptions = {}, url = broker.url): Promise<Client> {
  const client = await connect(url, options)
  closing.push(() => client.close())
  return client
}

// Subscribes to all requests below a root, and passes each one to `respond`.
async function startResponder(respond: Respond, root = 'infer', url = broker.url): Promise<MqttClient> {
  const mqtt = await connectAsync(url, { protocolVersion: 5, reconnectPeriod: 50 })
  mqtt.on('error', () => {})
  mqtt.on('message', (topic, payload, packet) => {
    if (topic.startsWith(`${root}/request/`)) respond({ topic, text: payload.toString(), packet }, mqtt)
  })
  await mqtt.subscribeAsync(`${root}/request/#`, { qos: 1 })
  closing.push(() => mqtt.endAsync(true))
  return mqtt
}

// Replies as the connector does: to the Response Topic or the derived topic, with the Correlation Data.
function reply({ topic, packet }: Request, mqtt: MqttClient, body: string, user = {}): void {
  const { responseTopic, correlationData } = packet.properties ?? {}
  mqtt.publish(responseTopic ?? topic.replace('/request/', '/reply/'), body, {
    qos: 1,
    properties: {
      contentType: 'application/json',
      userProperties: { status: '200', 'server-timing': 'queue;dur=0.1', ...user },
      ...(correlationData === undefined ? {} : { correlationData }),
    },
  })
}
const cardOf = (name: string): string => JSON.stringify({ contract: 1, name, operations: ['predict'] })
const echo: Respond = (request, mqtt) => reply(request, mqtt, request.text)

async function failureOf(promise: Promise<unknown>): Promise<InferwireError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(InferwireError)
  return error as InferwireError
}

test('sends a request with its deadline on MQTT 5, and returns status, timing and body of the reply', async () => {
  const seen: Request[] = []
  await startResponder((request, mqtt) => {
    seen.push(request)
    reply(request, mqtt, '{"predictions":[1]}')
  })
  const client = await open({ identity: 'cam7' })
  const body = { instances: [[6.8, 2.8, 4.8, 1.4]] }
  const answer = await client.infer('iris', body, {
    timeoutMs: 2_500,
    headers: { 'x-line': '7', 'timeout-ms': '1' },
  })
  expect(answer).toMatchObject({ status: 200, contentType: 'application/json', attempts: 1 })
  expect(answer.serverTiming).toBe('queue;dur=0.1')
  expect(answer.json()).toEqual({ predictions: [1] })
  expect(answer.durationMs).toBeGreaterThan(0)
  const { topic, text, packet } = seen[0]!
  expect(topic).toMatch(/^infer\/request\/cam7\/iris\/predict\/[0-9a-f]{16}\/[0-9a-f]{32}$/)
  expect(JSON.parse(text)).toEqual(body)
  expect(packet.qos).toBe(1)
  // The derived reply topic also works across bridges that drop or do not rewrite a Response Topic.
  expect(packet.properties?.responseTopic).toBeUndefined()
  expect(packet.properties?.correlationData).toHaveLength(16)
  expect(packet.properties?.messageExpiryInterval).toBe(3)
  const user = packet.properties?.userProperties as Record<string, string | string[]>
  expect(user['x-line']).toBe('7')
  // The connector uses the first value of a repeated name, so a header cannot override the deadline.
  const [timeoutMs] = user['timeout-ms']!
  expect(Number(timeoutMs)).toBeGreaterThan(2_000)
  expect(Number(timeoutMs)).toBeLessThanOrEqual(2_500)
})

test('predict sends instances and returns predictions', async () => {
  await startResponder((request, mqtt) => reply(request, mqtt, '{"predictions":[1,2]}'))
  const client = await open()
  expect(await client.predict('iris', [[1], [2]])).toEqual([1, 2])
})

test('matches a reply by its topic on MQTT 3.1.1, and recognizes an error by its body', async () => {
  const topics: string[] = []
  await startResponder((request, mqtt) => {
    topics.push(request.topic)
    const isBad = request.text.includes('bad')
    reply(request, mqtt, isBad ? '{"error":"no such shape","code":"bad_payload","status":400}' : request.text)
  })
  const client = await open({ identity: 'plc', mqttVersion: '3.1.1' })
  const answer = await client.infer('iris', { inputs: [] })
  expect(answer).toMatchObject({ status: 200, attempts: 1 })
  expect(answer.json()).toEqual({ inputs: [] })
  expect(topics[0]).toMatch(/^infer\/request\/plc\/iris\/infer\/[0-9a-f]+\/[0-9a-f]{32}$/)
  const error = await failureOf(client.infer('iris', { instances: ['bad'] }))
  expect(error).toMatchObject({ code: 'bad_payload', status: 400, message: 'no such shape' })
})

test('a request fails at once with no_connector if no connector is subscribed', async () => {
  const client = await open({ root: 'empty' })
  const error = await failureOf(client.infer('iris', {}, { timeoutMs: 60_000 }))
  expect(error).toMatchObject({ code: 'no_connector', retryable: true, model: 'iris' })
})

test('a request that the access rules forbid fails at once with not_authorized', async () => {
  const guarded = await startMosquitto({
    users: { cam7: 'secret' },
    acl: 'pattern write infer/request/%u/#\npattern read infer/reply/%u/#\n',
  })
  closing.push(() => guarded.stop())
  const login = { username: 'cam7', password: 'secret' }
  const denied = await open({ ...login, identity: 'cam8' }, guarded.url)
  expect(await failureOf(denied.infer('iris', {}))).toMatchObject({
    code: 'not_authorized',
    retryable: false,
  })
  const allowed = await open(login, guarded.url)
  expect(allowed.identity).toBe('cam7')
  expect(await failureOf(allowed.infer('iris', {}))).toMatchObject({ code: 'no_connector' })
  const wrong = await failureOf(connect(guarded.url, { username: 'cam7', password: 'wrong' }))
  expect(wrong).toMatchObject({ code: 'not_authorized' })
})

test('an unanswered request fails with deadline_exceeded', async () => {
  await startResponder(() => {})
  const client = await open()
  const error = await failureOf(client.infer('iris', { instances: [] }, { timeoutMs: 100 }))
  expect(error).toMatchObject({ code: 'deadline_exceeded', retryable: true, body: undefined })
  expect(error.message).toBe('No reply from model "iris" within 100 ms (sent once).')
  expect(client.stats.inFlight).toBe(0)
})

test('an abort before or after sending ends the request with cancelled', async () => {
  const abort = new AbortController()
  await startResponder(() => abort.abort('enough'))
  const client = await open()
  const error = await failureOf(client.infer('iris', {}, { signal: abort.signal }))
  expect(error).toMatchObject({ code: 'cancelled', cause: 'enough' })
  expect(await failureOf(client.infer('iris', {}, { signal: abort.signal }))).toMatchObject({
    code: 'cancelled',
  })
  expect(client.stats.inFlight).toBe(0)
})

test('a finished request leaves no listener on the abort signal', async () => {
  await startResponder(echo)
  const client = await open()
  const { signal } = new AbortController()
  await client.infer('iris', {}, { signal })
  expect(getEventListeners(signal, 'abort')).toEqual([])
})

test('ignores second replies, and replies with a different topic or Correlation Data', async () => {
  await startResponder((request, mqtt) => {
    const { responseTopic, correlationData } = request.packet.properties!
    const send = (topic: string, correlation: Buffer): void => {
      mqtt.publish(topic, '"wrong"', { qos: 1, properties: { correlationData: correlation } })
    }
    send(responseTopic!, Buffer.alloc(16))
    send(responseTopic!, Buffer.alloc(0))
    send(responseTopic!.replace('/iris/', '/other/'), correlationData!)
    mqtt.publish(`${responseTopic!.slice(0, -1)}x`, '"wrong"', { qos: 1 })
    reply(request, mqtt, '"right"')
    reply(request, mqtt, '"late"')
  })
  const client = await open()
  expect((await client.infer('iris', {})).json()).toBe('right')
  // The replies to the second request arrive after all replies to the first request.
  await client.infer('iris', {})
  expect(client.stats.ignoredReplies).toBeGreaterThanOrEqual(9)
})

test('an error reply rejects the call with the code, status, message and body of the reply', async () => {
  const body = '{"error":"busy","code":"overloaded","status":429,"retryable":true,"retry_after_ms":250}'
  await startResponder((request, mqtt) => reply(request, mqtt, body, { status: '429', code: 'overloaded' }))
  const client = await open()
  const error = await failureOf(client.infer('iris', {}))
  expect(error).toMatchObject({ code: 'overloaded', status: 429, retryable: true, retryAfterMs: 250 })
  expect(error).toMatchObject({ message: 'busy', model: 'iris' })
  expect(new TextDecoder().decode(error.body)).toBe(body)
})

test.each([5, '3.1.1'] as const)(
  '500 concurrent requests each receive their own reply on MQTT %s',
  async (mqttVersion) => {
    const held: (() => void)[] = []
    await startResponder((request, mqtt) => {
      held.push(() => echo(request, mqtt))
      // Replies are sent in reverse order, so that matching by order would fail.
      if (held.length === 500) for (const send of held.splice(0).toReversed()) send()
    })
    const client = await open({ mqttVersion })
    const numbers = Array.from({ length: 500 }, (_, index) => index)
    const answers = await Promise.all(
      numbers.map(async (number) => (await client.infer('iris', { instances: [number] })).json()),
    )
    expect(answers).toEqual(numbers.map((number) => ({ instances: [number] })))
    expect(client.stats).toMatchObject({ inFlight: 0, ignoredReplies: 0 })
  },
)

test('resends an unanswered request with the same Correlation Data', async () => {
  const correlations: string[] = []
  await startResponder((request, mqtt) => {
    correlations.push(request.packet.properties!.correlationData!.toString('hex'))
    if (correlations.length === 3) echo(request, mqtt)
  })
  const client = await open()
  const answer = await client.infer('iris', {}, { repeatAfterMs: 20 })
  // A further copy of the request may be in flight when the reply arrives.
  expect(answer.attempts).toBeGreaterThanOrEqual(3)
  expect(new Set(correlations).size).toBe(1)
})

test('resends a request after the broker is killed and loses its state', async () => {
  // The broker saves nothing to disk, so only a repeat from the client can deliver the request.
  const forgetful = await startMosquitto({ config: ['autosave_interval 0'] })
  closing.push(() => forgetful.stop())
  const seen: Request[] = []
  const taken = new AbortController()
  const isTaken = once(taken.signal, 'abort')
  const responder = await startResponder(
    (request, mqtt) => {
      seen.push(request)
      if (seen.length === 1) taken.abort()
      else echo(request, mqtt)
    },
    'infer',
    forgetful.url,
  )
  const client = await open({}, forgetful.url)
  const answer = client.infer('iris', { instances: [7] }, { repeatAfterMs: Infinity })
  await isTaken
  const isLost = new Promise((resolve) => responder.once('close', () => resolve(undefined)))
  await forgetful.stop('SIGKILL')
  await isLost
  await forgetful.start()
  expect((await answer).json()).toEqual({ instances: [7] })
  expect((await answer).attempts).toBeGreaterThan(1)
  expect(client.stats.reconnects).toBe(1)
  const [first, second] = seen
  expect(second).toMatchObject({ topic: first!.topic, text: first!.text })
  expect(second!.packet.properties?.correlationData).toEqual(first!.packet.properties?.correlationData)
  expect(second!.packet.properties?.responseTopic).toBe(first!.packet.properties?.responseTopic)
})

test('sends a request made during a broker outage after the broker restarts', async () => {
  const flaky = await startMosquitto()
  closing.push(() => flaky.stop())
  await startResponder(echo, 'infer', flaky.url)
  const client = await open({}, flaky.url)
  await flaky.stop('SIGKILL')
  const answer = client.infer('iris', { instances: [1] }, { waitForConnector: true })
  await flaky.start()
  expect((await answer).json()).toEqual({ instances: [1] })
})

test.each([{ settleMs: Number.NaN }, { settleMs: -1 }, { settleMs: Infinity }, { timeoutMs: Number.NaN }])(
  'models(%j) fails at once with a TypeError',
  async (options) => {
    const client = await open()
    await expect(client.models({ timeoutMs: 500, ...options })).rejects.toThrow(
      /expected a number of milliseconds above 0/,
    )
    await expect(client.model('iris', { timeoutMs: 500, ...options })).rejects.toThrow(TypeError)
  },
)

test('returns the retained cards sorted by name, and reports messages that are not cards', async () => {
  const publisher = await connectAsync(broker.url, { protocolVersion: 5 })
  closing.push(() => publisher.endAsync())
  const retain = { qos: 1 as const, retain: true }
  await publisher.publishAsync('cards/models/iris', cardOf('iris'), retain)
  await publisher.publishAsync('cards/models/digits', cardOf('digits'), retain)
  await publisher.publishAsync('cards/models/liar', cardOf('iris'), retain)
  await publisher.publishAsync('cards/models/broken', '{', retain)
  await publisher.publishAsync('cards/models/x', '{"name":"x","operations":[]}', retain)
  const client = await open({ root: 'cards' })
  const unreadable = new Map<string, string>()
  const onUnreadable = (name: string, mistake: string): void => void unreadable.set(name, mistake)
  expect((await client.models({ onUnreadable })).map(({ name }) => name)).toEqual(['digits', 'iris'])
  expect(await client.model('iris')).toMatchObject({ name: 'iris', operations: ['predict'] })
  for (const name of ['absent', '+', '#', 'a/b']) expect(await client.model(name)).toBeUndefined()
  expect([...unreadable.keys()].toSorted()).toEqual(['broken', 'liar', 'x'])
  expect(unreadable.get('x')).toMatch(/"contract"/)
  expect(await client.model('x', { onUnreadable })).toBeUndefined()
})

test("returns the connectors' retained statuses", async () => {
  const publisher = await connectAsync(broker.url, { protocolVersion: 5 })
  closing.push(() => publisher.endAsync())
  const status = { contract: 1, state: 'online', version: '1', timestamp: 1, models: ['iris'] }
  const retain = { qos: 1 as const, retain: true }
  await publisher.publishAsync('states/status/edge-2', JSON.stringify(status), retain)
  await publisher.publishAsync(
    'states/status/edge-1',
    JSON.stringify({ ...status, state: 'offline' }),
    retain,
  )
  await publisher.publishAsync('states/status/broken', '{', retain)
  const client = await open({ root: 'states' })
  expect(await client.connectors()).toMatchObject([
    { connector: 'edge-1', state: 'offline', models: ['iris'] },
    { connector: 'edge-2', state: 'online', models: ['iris'] },
  ])
})

test('on MQTT 3.1.1, a request above the packet size limit fails with payload_too_large, and the error contains its size', async () => {
  const small = await startMosquitto({ config: ['max_packet_size 50000'] })
  closing.push(() => small.stop())
  await startResponder(echo, 'infer', small.url)
  const client = await open({ mqttVersion: '3.1.1' }, small.url)
  const body = { instances: ['x'.repeat(60_000)] }
  const large = failureOf(client.infer('iris', body, { timeoutMs: 2_000 }))
  // A small request is answered while the large request is still unanswered.
  expect((await client.infer('iris', { instances: [1] })).json()).toEqual({ instances: [1] })
  expect(await large).toMatchObject({ code: 'payload_too_large', status: 413, retryable: false })
  expect((await large).message).toMatch(/does not accept packets of that size: .* the request's 60018 bytes/)
})

test('lists the size, the access rules and the connector as possible causes if an MQTT 3.1.1 broker drops an acknowledged message', async () => {
  const lossy = await startMosquitto({ config: ['message_size_limit 50000'] })
  closing.push(() => lossy.stop())
  await startResponder(echo, 'infer', lossy.url)
  const client = await open({ mqttVersion: '3.1.1', identity: 'plc' }, lossy.url)
  const body = { instances: ['x'.repeat(60_000)] }
  const error = await failureOf(client.infer('iris', body, { timeoutMs: 300 }))
  // There is no proof that the message was dropped: the model may just be slow.
  expect(error).toMatchObject({ code: 'deadline_exceeded' })
  expect(error.message).toMatch(
    /60018 bytes may be too large, "infer\/request\/plc\/iris\/predict" may be forbidden/,
  )
  // On MQTT 5, Mosquitto sends 0x95, which is not a PUBACK reason code; mqtt.js then closes the connection.
  const on5 = await failureOf((await open({}, lossy.url)).infer('iris', body, { timeoutMs: 1_500 }))
  expect(on5).toMatchObject({ code: 'payload_too_large' })
})

test('close returns in time even if the broker is frozen and requests are in flight', async () => {
  const frozen = await startMosquitto()
  closing.push(() => frozen.stop('SIGKILL'))
  const client = await open({}, frozen.url)
  process.kill(frozen.pid, 'SIGSTOP')
  const request = failureOf(client.infer('iris', {}))
  const models = failureOf(client.models())
  await client.close()
  expect(await request).toMatchObject({ code: 'cancelled' })
  expect(await models).toMatchObject({ code: 'broker_unreachable' })
})

test('rejects requests above inFlightMax with overloaded; close cancels all requests in flight', async () => {
  await startResponder(() => {})
  const client = await open({ inFlightMax: 2 })
  const waiting = [client.infer('iris', {}), client.infer('iris', {})].map(failureOf)
  expect(await failureOf(client.infer('iris', {}))).toMatchObject({ code: 'overloaded', retryable: true })
  await client.close()
  for (const error of await Promise.all(waiting)) expect(error).toMatchObject({ code: 'cancelled' })
  expect(await failureOf(client.infer('iris', {}))).toMatchObject({ code: 'cancelled' })
})
