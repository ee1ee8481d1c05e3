// Tests long calls with the SDK and a real Mosquitto: one client submits a request, and another client fetches the
// reply later. A stand-in for the connector answers at a time that the test chooses.
import { connect } from '@inferwire/client'
import { connect as connectMqtt } from 'mqtt'
import { expect, test, vi } from 'vitest'
import { startMosquitto } from './fixtures/mosquitto.ts'
import { failureOf, sdkAndBroker } from './fixtures/sdk-and-broker.ts'
import { Proxy } from './rig/proxy.ts'

const BODY = { instances: [[1]] }
const UNKNOWN = '0'.repeat(32)

const sdk = sdkAndBroker()
const { open, respond, cleanUps } = sdk

// Submits a request with a client that is then closed, like a process that exits.
async function submit(model = 'iris', url = sdk.broker.url): Promise<string> {
  const client = await connect(url)
  const { id } = await client.submit(model, BODY)
  await client.close()
  return id
}

test('a reply that arrives while no client is connected waits for result(), and can be fetched only once', async () => {
  let published: Promise<void> | undefined
  const responder = await respond((request) => (published = request.reply('{"predictions":[7]}')))
  const id = await submit()
  await vi.waitFor(() => expect(published).toBeDefined())
  await published
  const [request] = responder.requests
  expect(request!.properties.messageExpiryInterval).toBe(86_400)
  expect(request!.user['timeout-ms']).toBe('3600000')
  const later = await open()
  const reply = await later.result(id)
  expect(reply.json()).toEqual({ predictions: [7] })
  expect(reply.status).toBe(200)
  expect(await failureOf(later.result(id))).toMatchObject({ code: 'result_not_found', retryable: false })
  expect(later.stats).toMatchObject({ inFlight: 0, ignoredReplies: 0 })
})

test('a reply that arrives together with the acknowledgement of its request is not lost', async () => {
  // After sending the request, the client receives no packets until the reply has been published.
  const freeze = (chunk: Buffer): void => {
    if (chunk.includes('infer/request/')) proxy.set('down', { isFrozen: true })
  }
  const witness = { fromClient: freeze, fromServer: () => {} }
  const proxy: Proxy = await Proxy.start(sdk.broker.port, { witness: () => witness })
  cleanUps.push(() => proxy.close())
  await respond(async (request) => {
    await request.reply('{"predictions":[7]}')
    proxy.calm()
  })
  const client = await open({}, `mqtt://127.0.0.1:${proxy.port}`)
  const { id } = await client.submit('iris', BODY)
  expect((await client.result(id)).json()).toEqual({ predictions: [7] })
})

test('result() waits for a reply that has not arrived yet, and fetching one result does not remove the others', async () => {
  const answers = new Map<string, () => Promise<void>>()
  await respond((request) => answers.set(request.topic.split('/')[3]!, () => request.reply(request.body)))
  const [first, second] = [await submit('first'), await submit('second')]
  const client = await open()
  const waiting = client.result(second)
  await vi.waitFor(() => expect(answers.size).toBe(2))
  await answers.get('first')!()
  await answers.get('second')!()
  expect((await waiting).json()).toEqual(BODY)
  expect((await client.result(first)).json()).toEqual(BODY)
})

test('a result that has not arrived in time is still available to a later call', async () => {
  let answer: (() => Promise<void>) | undefined
  await respond((request) => (answer = () => request.reply('[1]')))
  const id = await submit()
  const client = await open()
  const early = await failureOf(client.result(id, { timeoutMs: 300 }))
  expect(early).toMatchObject({ code: 'deadline_exceeded', retryable: true })
  expect(early.message).toMatch(/did not arrive within 300 ms\. It remains available/)
  const abort = new AbortController()
  const cancelled = failureOf(client.result(id, { signal: abort.signal }))
  abort.abort('enough')
  expect(await cancelled).toMatchObject({ code: 'cancelled', cause: 'enough' })
  await answer!()
  expect((await client.result(id)).json()).toEqual([1])
})

test('result() rejects with an error reply, which cannot be fetched again', async () => {
  await respond((request) =>
    request.reply('{"error":"bad shape","code":"upstream_error","status":400}', {
      status: '400',
      code: 'upstream_error',
    }),
  )
  const id = await submit()
  const client = await open()
  expect(await failureOf(client.result(id))).toMatchObject({ code: 'upstream_error', message: 'bad shape' })
  expect(await failureOf(client.result(id))).toMatchObject({ code: 'result_not_found' })
})

test('result() passes the parts of a streamed answer to onPart, without repeats', async () => {
  await respond(async (request) => {
    for (const seq of [0, 1, 1, 2]) await request.part(seq, `"${seq}"`)
    await request.final(3, { 'completion-tokens': '3' })
  })
  const id = await submit()
  const seen: unknown[] = []
  const reply = await (await open()).result(id, { onPart: (part) => seen.push(part.json()) })
  expect(seen).toEqual(['0', '1', '2'])
  expect(reply.text()).toBe('[DONE]')
  expect(reply.usage).toEqual({ promptTokens: undefined, completionTokens: 3 })
})

test('result() rejects an unknown id at once with result_not_found, and an invalid id with a TypeError', async () => {
  const client = await open()
  expect(await failureOf(client.result(UNKNOWN))).toMatchObject({ code: 'result_not_found' })
  // If the first call had left a session behind, the second call would find that session.
  expect(await failureOf(client.result(UNKNOWN))).toMatchObject({ code: 'result_not_found' })
  await expect(client.result('../x')).rejects.toThrow(/32 hexadecimal digits/)
})

test('submit() rejects if no connector is subscribed or the broker forbids the topic, and leaves no session', async () => {
  const guarded = await startMosquitto({
    users: { cam7: 'secret' },
    acl: 'pattern write infer/request/%u/#\npattern read infer/reply/%u/#\n',
  })
  cleanUps.push(() => guarded.stop())
  const login = { username: 'cam7', password: 'secret' }
  const client = await open(login, guarded.url)
  expect(await failureOf(client.submit('iris', BODY))).toMatchObject({ code: 'no_connector' })
  const other = await open({ ...login, identity: 'cam8' }, guarded.url)
  expect(await failureOf(other.submit('iris', BODY))).toMatchObject({ code: 'not_authorized' })
  const ids = new Set(
    Array.from(guarded.log().matchAll(/as (inferwire-[0-9a-f]{32}) /g), ([, clientId]) => clientId!),
  )
  expect(ids.size).toBe(2)
  for (const clientId of ids) {
    const options = { ...login, clientId, clean: false, protocolVersion: 5 } as const
    const mqtt = connectMqtt(guarded.url, options)
    const isPresent = await new Promise((resolve) =>
      mqtt.once('connect', ({ sessionPresent }) => resolve(sessionPresent)),
    )
    expect(isPresent).toBe(false)
    await mqtt.endAsync()
  }
})

test('a submitted request and its reply survive a restart of the broker', async () => {
  const restarted = await startMosquitto()
  cleanUps.push(() => restarted.stop())
  const answers: (() => Promise<void>)[] = []
  await respond((request) => answers.push(() => request.reply('[1]')), restarted.url)
  const id = await submit('iris', restarted.url)
  await vi.waitFor(() => expect(answers).toHaveLength(1))
  await answers[0]!()
  await restarted.stop()
  await restarted.start()
  expect((await (await open({}, restarted.url)).result(id)).json()).toEqual([1])
})

test('result() reconnects while it waits, and ends when the client is closed', async () => {
  const restarted = await startMosquitto()
  cleanUps.push(() => restarted.stop())
  await respond(() => {}, restarted.url)
  const id = await submit('iris', restarted.url)
  const client = await open({}, restarted.url)
  const waiting = failureOf(client.result(id))
  // The first connection is that of submit().
  const connected = (): number => restarted.log().split(`as inferwire-${id} `).length - 1
  await vi.waitFor(() => expect(connected()).toBe(2))
  await restarted.stop()
  await restarted.start()
  await vi.waitFor(() => expect(connected()).toBe(3), 10_000)
  await client.close()
  expect(await waiting).toMatchObject({ code: 'cancelled' })
})

test('submit() and result() are refused on MQTT 3.1.1, where sessions do not expire', async () => {
  const client = await open({ mqttVersion: '3.1.1' })
  await expect(client.submit('iris', BODY)).rejects.toThrow(/require MQTT 5/)
  await expect(client.result(UNKNOWN)).rejects.toThrow(/require MQTT 5/)
})
