// Tests faulty input from clients, model servers and brokers: each fault results in an error with a specific code, and
// the process survives.
import { aclText } from '@inferwire/mosquitto'
import type { ProblemBody } from '@inferwire/protocol'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient, type Received, type RequestProperties } from './fixtures/mqtt-client.ts'
import { FAULTY_MODELS } from './rig/model-behaviours.ts'
import { FakeModelServer } from './rig/model-server.ts'

const BODY = '{"instances":[[6.8,2.8,4.8,1.4]]}'
const USERS = { inferwire: 'c-secret', alice: 'a-secret', bob: 'b-secret' }

let broker: Mosquitto
let upstream: FakeModelServer
let running: TestConnector
let alice: TestClient

beforeAll(async () => {
  broker = await startMosquitto({ users: USERS, acl: aclText() })
  upstream = await FakeModelServer.start()
  const model = (name: string) => [
    name,
    { url: upstream.url, protocolVersion: 'v1' as const, timeoutMs: 1_500 },
  ]
  const { Secret } = await import('@inferwire/connector')
  running = await runConnector({
    broker: { url: broker.url, username: 'inferwire', password: new Secret(USERS.inferwire) as never },
    models: {
      ...Object.fromEntries([...FAULTY_MODELS, 'slow-400'].map(model)),
      iris: { url: upstream.url, limits: { requestBytesMax: 10_000, responseBytesMax: 100_000 } },
      down: { url: 'http://127.0.0.1:1', protocolVersion: 'v1' },
      unknownprotocol: { url: 'http://127.0.0.1:1' },
      secret: { url: upstream.url, protocolVersion: 'v1' },
    },
    policy: {
      allow: [
        { clients: ['alice', 'bob'], models: [...FAULTY_MODELS, 'slow-400', 'iris', 'down', 'unknown*'] },
      ],
    },
  })
  alice = await TestClient.connect(broker.url, { username: 'alice', password: USERS.alice })
  await alice.subscribe('infer/reply/alice/#')
  await alice.subscribe('infer/models/#')
  await alice.wait(({ topic }) => topic === 'infer/models/iris', 'card')
})

// Despite all the faults in these tests, a valid request still receives its answer.
afterEach(async () => {
  const reply = await alice.ask('infer/request/alice/iris/predict', BODY)
  expect(reply.user['status']).toBe('200')
})

afterAll(async () => {
  await alice.close()
  expect(await running.connector.stop()).toBe(true)
  await upstream.stop()
  await broker.stop()
})

function expectProblem(reply: Received, code: string, status: number): ProblemBody {
  expect(reply.user).toMatchObject({ code, status: String(status) })
  const body = reply.json() as ProblemBody
  expect(body).toMatchObject({ code, status, retryable: expect.any(Boolean) as boolean })
  expect(body.error.length).toBeGreaterThan(10)
  // Addresses and secrets appear only in the log.
  expect(body.error).not.toContain('127.0.0.1')
  return body
}

describe('an invalid topic', () => {
  test.each([
    ['an unknown model', 'infer/request/alice/irs/predict', 'model_not_found', 404],
    ['an unknown version', 'infer/request/alice/iris@9/predict', 'model_not_found', 404],
    ['an unknown operation', 'infer/request/alice/iris/destroy', 'operation_not_supported', 405],
    [
      'an operation of another protocol',
      'infer/request/alice/slow-400/infer',
      'operation_not_supported',
      405,
    ],
    ['no model', 'infer/request/alice', 'bad_topic', 400],
    ['an empty model', 'infer/request/alice//predict', 'bad_topic', 400],
    ['an empty operation', 'infer/request/alice/iris/', 'bad_topic', 400],
    ['two dots', 'infer/request/alice/../predict', 'bad_topic', 400],
    ['dots inside a name', 'infer/request/alice/a..b/predict', 'bad_topic', 400],
    ['a percent sign', 'infer/request/alice/%2e%2e/predict', 'bad_topic', 400],
    ['a backslash', 'infer/request/alice/a\\b/predict', 'bad_topic', 400],
    ['a question mark', 'infer/request/alice/iris?x=1/predict', 'bad_topic', 400],
    ['a colon', 'infer/request/alice/iris:predict', 'bad_topic', 400],
    ['300 characters', `infer/request/alice/${'m'.repeat(300)}/predict`, 'bad_topic', 400],
    ['non-ASCII letters', 'infer/request/alice/ïris/predict', 'bad_topic', 400],
    ['__proto__', 'infer/request/alice/__proto__/predict', 'bad_topic', 400],
    [
      'a property of every JavaScript object as the operation',
      'infer/request/alice/iris/constructor',
      'operation_not_supported',
      405,
    ],
  ])('is rejected: %s', async (_what, topic, code, status) => {
    const before = upstream.requests.length
    const reply = await alice.ask(topic, BODY)
    expectProblem(reply, code, status)
    expect(reply.topic).toBe(topic.replace('/request/', '/reply/'))
    expect(upstream.requests.length).toBe(before)
  })

  test('results in an error that suggests a similar name, if the model is unknown', async () => {
    const reply = await alice.ask('infer/request/alice/irs/predict', BODY)
    expect((reply.json() as ProblemBody).error).toBe('Model "irs" is not exposed here; did you mean "iris"?')
  })
})

describe('an invalid body or property', () => {
  test.each<[string, string | Buffer, RequestProperties, string, number]>([
    ['empty', '', {}, 'bad_payload', 400],
    ['white space', ' \n ', {}, 'bad_payload', 400],
    ['not JSON', 'hello', {}, 'bad_payload', 400],
    ['a JSON array', '[1]', {}, 'bad_payload', 400],
    ['binary', Buffer.from([0, 1, 2]), {}, 'bad_payload', 400],
    ['too large', `{"instances":[${' '.repeat(11_000)}]}`, {}, 'payload_too_large', 413],
    ['another content type', BODY, { contentType: 'image/jpeg' }, 'unsupported_content_type', 415],
    [
      'binary without its length',
      BODY,
      { contentType: 'application/octet-stream' },
      'unsupported_content_type',
      415,
    ],
    [
      'a timeout-ms that is not a number',
      BODY,
      { userProperties: { 'timeout-ms': '1e3' } },
      'bad_payload',
      400,
    ],
    ['a timeout-ms of 0', BODY, { userProperties: { 'timeout-ms': '0' } }, 'bad_payload', 400],
  ])('is rejected: %s', async (_what, body, properties, code, status) => {
    expectProblem(await alice.ask('infer/request/alice/iris/predict', body, properties), code, status)
  })

  test.each(['-1', 'abc', '99999', '1.5', ''])(
    'is rejected: an inference-header-content-length of "%s"',
    async (length) => {
      const reply = await alice.ask('infer/request/alice/iris/infer', BODY, {
        contentType: 'application/octet-stream',
        userProperties: { 'inference-header-content-length': length },
      })
      expectProblem(reply, 'bad_payload', 400)
    },
  )

  test('user properties that are too large are dropped, and the request is answered with an error', async () => {
    for (const bytes of [70_000, 400_000]) {
      const many = Object.fromEntries(
        Array.from({ length: bytes / 10_000 }, (_, index) => [`p${index}`, 'x'.repeat(10_000)]),
      )
      const before = alice.received.length
      await alice.publish('infer/request/alice/iris/predict', BODY, { userProperties: many })
      const reply = await alice.wait(
        (message) =>
          alice.received.indexOf(message) >= before && message.topic === 'infer/reply/alice/iris/predict',
      )
      expectProblem(reply, 'payload_too_large', 413)
    }
  })

  test('a body that exceeds the memory limits is dropped, and the request is answered with an error', async () => {
    const reply = await alice.ask('infer/request/alice/iris/predict', Buffer.alloc(30_000_000, 0x20))
    expectProblem(reply, 'payload_too_large', 413)
  })
})

describe("a Response Topic outside the client's subtree", () => {
  test.each([
    'infer/reply/bob/x',
    'infer/reply/alicex/x',
    'infer/reply/alice',
    'infer/reply/alice/',
    'infer/request/alice/iris/predict',
    'infer/models/iris',
    'infer/status/x',
    '$SYS/broker/uptime',
    '$share/g/infer/reply/alice/x',
    'elsewhere',
  ])('is rejected: %s', async (responseTopic) => {
    const before = alice.received.length
    const reply = await alice.ask('infer/request/alice/iris/predict', BODY, { responseTopic })
    expectProblem(reply, 'response_topic_forbidden', 403)
    expect(reply.topic).toBe('infer/reply/alice/iris/predict')
    expect(alice.received.length).toBe(before + 1)
  })
})

describe('an MQTT user other than the client in the topic', () => {
  test('bob can neither send requests as alice nor have answers delivered to her', async () => {
    const bob = await TestClient.connect(broker.url, { username: 'bob', password: USERS.bob })
    await bob.subscribe('infer/reply/#')
    expect(await bob.publish('infer/request/alice/iris/predict', BODY)).toBe(0x87)
    const before = alice.received.length
    const reply = await bob.ask('infer/request/bob/iris/predict', BODY, {
      responseTopic: 'infer/reply/alice/iris/predict',
    })
    expect(reply.topic).toBe('infer/reply/bob/iris/predict')
    expectProblem(reply, 'response_topic_forbidden', 403)
    const own = await alice.ask('infer/request/alice/iris/predict', BODY)
    expect(alice.received.slice(before)).toEqual([own])
    expect(bob.received.every(({ topic }) => topic.startsWith('infer/reply/bob/'))).toBe(true)
    await bob.close()
  })

  test('a request for a forbidden model gets the same answer as a request for a missing model', async () => {
    const secret = await alice.ask('infer/request/alice/secret/predict', BODY)
    const unknown = await alice.ask('infer/request/alice/secreu/predict', BODY)
    expectProblem(secret, 'model_not_found', 404)
    expect(secret.payload.toString()).toBe(unknown.payload.toString().replaceAll('secreu', 'secret'))
    // Even a request with an unsupported operation must not reveal that the model exists.
    const operation = await alice.ask('infer/request/alice/secret/nonsense', BODY)
    expect(operation.payload.toString()).toBe(secret.payload.toString())
    expect(upstream.calls('secret')).toBe(0)
  })
})

describe('headers', () => {
  test('a client cannot set a header that is not listed', async () => {
    const userProperties = {
      authorization: 'Bearer x',
      host: 'evil',
      'kubeflow-userid': 'root',
      'x-forwarded-for': '1.2.3.4',
      'Content-Type': 'text/html',
      'x-custom': '1',
      'transfer-encoding': 'chunked',
    }
    await alice.ask('infer/request/alice/iris/predict', BODY, { userProperties })
    const { headers } = upstream.requests.at(-1)!
    expect(Object.keys(headers).sort()).toEqual([
      'accept-encoding',
      'connection',
      'content-length',
      'content-type',
      'host',
    ])
    expect(headers['accept-encoding']).toBe('identity')
    expect(headers['content-type']).toBe('application/json')
    expect(headers.host).toBe(new URL(upstream.url).host)
  })
})

describe('a retained request', () => {
  test('is rejected, even when the broker redelivers it', async () => {
    const before = upstream.requests.length
    const reply = alice.wait(({ user }) => user['code'] === 'retained_request')
    await alice.publish('infer/request/alice/iris/predict', BODY, {}, true)
    expectProblem(await reply, 'retained_request', 400)
    expect(upstream.requests.length).toBe(before)
    await alice.publish('infer/request/alice/iris/predict', '', {}, true)
  })
})

describe('a deadline', () => {
  test.each<[string, RequestProperties]>([
    ['from the Message Expiry Interval', { messageExpiryInterval: 1 }],
    ['from timeout-ms', { userProperties: { 'timeout-ms': '150' } }],
    ['from the configuration of the model', {}],
  ])('ends the call if it comes %s', async (_what, properties) => {
    const reply = await alice.ask('infer/request/alice/hang/predict', BODY, properties)
    expectProblem(reply, 'deadline_exceeded', 504)
  })
})

describe('a faulty model server', () => {
  test.each([
    ['hang', 'deadline_exceeded', 504],
    ['trickle', 'deadline_exceeded', 504],
    ['reset', 'upstream_unreachable', 502],
    ['cut', 'upstream_unreachable', 502],
    ['long-length', 'upstream_unreachable', 502],
    ['short-length', 'upstream_invalid_response', 502],
    ['garbage', 'upstream_invalid_response', 502],
    ['bigheaders', 'upstream_invalid_response', 502],
    ['html200', 'upstream_invalid_response', 502],
    ['nojson', 'upstream_invalid_response', 502],
    ['redirect307', 'upstream_invalid_response', 502],
    ['noroute', 'upstream_invalid_response', 502],
    ['redirect', 'unauthorized_upstream', 502],
    ['html403', 'unauthorized_upstream', 502],
    ['jwt401', 'unauthorized_upstream', 502],
    ['rbac403', 'unauthorized_upstream', 502],
    ['endless', 'response_too_large', 502],
    ['full', 'overloaded', 429],
    ['nohealthy', 'upstream_unreachable', 502],
    ['down', 'upstream_unreachable', 502],
    ['unknownprotocol', 'model_not_ready', 503],
  ])('its behaviour "%s" results in %s', async (model, code, status) => {
    expectProblem(await alice.ask(`infer/request/alice/${model}/predict`, BODY), code, status)
  })

  test.each([
    ['error400', '400', 'upstream_error', '{"error":"Unrecognized request format: boom"}'],
    ['error500', '500', 'upstream_error', '{"error":"ValueError : boom"}'],
    ['plain500', '500', 'upstream_error', 'Internal Server Error'],
    ['error200', '500', 'upstream_error', '{"error":"boom"}'],
    ['batcher200', '500', 'upstream_error', '{"message":"boom","batchId":"","predictions":null}'],
  ])('the error body from the model %s is forwarded unchanged', async (model, status, code, body) => {
    const reply = await alice.ask(`infer/request/alice/${model}/predict`, BODY)
    expect(reply.user).toMatchObject({ status, code })
    expect(reply.payload.toString()).toBe(body)
  })

  test.each([
    ['notready', { error: 'Model with name notready is not ready.' }],
    ['retry-after', { error: 'busy', retry_after_ms: 2_000 }],
  ])(
    "the error reply for the model %s has the body that the contract defines, and contains the server's text",
    async (model, body) => {
      const reply = await alice.ask(`infer/request/alice/${model}/predict`, BODY)
      expect(reply.user).toMatchObject({ status: '503', code: 'model_not_ready' })
      expect(reply.json()).toMatchObject({ ...body, code: 'model_not_ready', status: 503, retryable: true })
    },
  )

  test('these tests call every faulty model of the fake server', () => {
    expect(FAULTY_MODELS.filter((name) => upstream.calls(name) === 0)).toEqual([])
  })
})

describe('requests without a reply address', () => {
  test.each(['infer/request/', 'infer/request//iris/predict'])(
    'on the topic "%s" are acknowledged, counted and logged',
    async (topic) => {
      const connectorClient = await TestClient.connect(broker.url, {
        username: 'alice',
        password: USERS.alice,
      })
      // The ACL forbids these topics. The connector must handle requests on them anyway: this broker has no ACL.
      const open = await startMosquitto()
      const { connector, log } = await runConnector({ broker: { url: open.url }, models: {} })
      const anyone = await TestClient.connect(open.url)
      await anyone.publish(topic, BODY)
      await expect
        .poll(async () => await (await fetch(`${connector.adminUrl}/metrics`)).text())
        .toContain('inferwire_unanswered_requests_total{reason="unaddressable"} 1')
      expect(log.some((line) => line.includes('"bad_topic"'))).toBe(true)
      await expect
        .poll(async () => await (await fetch(`${connector.adminUrl}/metrics`)).text())
        .toContain('inferwire_unacknowledged_requests 0')
      await anyone.close()
      await connectorClient.close()
      await connector.stop()
      await open.stop()
    },
  )
})

describe('secrets', () => {
  test("the broker password is in neither the connector's metrics nor its log", async () => {
    const metrics = await (await fetch(`${running.connector.adminUrl}/metrics`)).text()
    const { log } = running
    for (const text of [metrics, ...log]) expect(text).not.toContain(USERS.inferwire)
    expect(metrics).toContain('inferwire_requests_total{model="iris",operation="predict",code="ok"}')
    expect(metrics).not.toMatch(/model="(?:irs|secret2|__proto__)"/)
    expect(metrics).toContain('model="_unknown"')
  })
})
