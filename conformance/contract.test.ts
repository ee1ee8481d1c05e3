// Tests the wire contract on real brokers: the messages that clients publish, and the replies that they receive.
import { startBroker } from '@inferwire/dev'
import type { ConnectorStatus, ModelCard } from '@inferwire/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startMosquitto } from './fixtures/mosquitto.ts'
import { mosquittoPub, mosquittoRr, mosquittoSub } from './fixtures/foreign-clients.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { digest } from './rig/model-behaviours.ts'
import { FakeModelServer } from './rig/model-server.ts'

const BODY = '{"instances":[[6.8,2.8,4.8,1.4]]}'
const ANSWER = JSON.stringify({ predictions: [digest(BODY)] })

const BROKERS = {
  mosquitto: async () => {
    const broker = await startMosquitto()
    return { url: broker.url, port: broker.port, close: () => broker.stop() }
  },
  embedded: async () => {
    const broker = await startBroker('embedded', { host: '127.0.0.1', mqttPort: 0, wsPort: 0 })
    return { url: broker.url, port: Number(new URL(broker.url).port), close: () => broker.close() }
  },
}

describe.each(Object.entries(BROKERS))('on %s', (_kind, startTestBroker) => {
  let broker: { url: string; port: number; close(): Promise<void> }
  let upstream: FakeModelServer
  let running: TestConnector
  let client: TestClient

  beforeAll(async () => {
    broker = await startTestBroker()
    upstream = await FakeModelServer.start()
    const { url } = upstream
    running = await runConnector({
      broker: { url: broker.url },
      models: {
        iris: {
          url,
          description: 'a test model',
          example: { operation: 'predict', body: { instances: [[1]] } },
        },
        only1: { url, protocolVersion: 'v1' },
        only2: { url, protocolVersion: 'v2', modelName: 'two', versions: ['3'] },
        'slow-300': { url, protocolVersion: 'v1' },
      },
    })
    client = await TestClient.connect(broker.url)
    await client.subscribe('infer/reply/cam7/#')
    await client.subscribe('infer/models/#')
    await client.subscribe('infer/status/#')
    await client.wait(({ topic }) => topic === 'infer/models/iris', 'card')
  })

  afterAll(async () => {
    await client.close()
    await running.connector.stop()
    await upstream.stop()
    await broker.close()
  })

  test('a reply on the Response Topic contains the unchanged body and the status of the answer', async () => {
    const correlationData = Buffer.from([0x00, 0xff, 0x00, 0x80, 0x0a])
    const reply = await client.ask('infer/request/cam7/iris/predict', BODY, {
      responseTopic: 'infer/reply/cam7/here/please',
      correlationData,
    })
    expect(reply.topic).toBe('infer/reply/cam7/here/please')
    expect(reply.payload.toString()).toBe(ANSWER)
    expect(reply.properties.correlationData).toEqual(correlationData)
    expect(reply.properties.contentType).toBe('application/json')
    expect(Boolean(reply.properties.payloadFormatIndicator)).toBe(true)
    expect(reply.user['status']).toBe('200')
    expect(reply.user['server-timing']).toMatch(/^queue;dur=[\d.]+, upstream;dur=[\d.]+$/)
    expect(reply.user['code']).toBeUndefined()
    expect(reply).toMatchObject({ qos: 1, retain: false })
  })

  test('without a Response Topic, the reply topic is the request topic with "request" replaced by "reply"', async () => {
    const reply = await client.ask('infer/request/cam7/iris/predict/a/b c', BODY)
    expect(reply.topic).toBe('infer/reply/cam7/iris/predict/a/b c')
    expect(reply.payload.toString()).toBe(ANSWER)
  })

  test('the reply has the remaining Message Expiry Interval', async () => {
    const reply = await client.ask('infer/request/cam7/iris/predict', BODY, { messageExpiryInterval: 20 })
    expect(reply.properties.messageExpiryInterval).toBeGreaterThan(15)
    expect(reply.properties.messageExpiryInterval).toBeLessThanOrEqual(20)
  })

  test('an MQTT 3.1.1 client correlates replies by the id in the topic', async () => {
    const old = await TestClient.connect(broker.url, { protocolVersion: 4 })
    await old.subscribe('infer/reply/plc/#')
    await old.publish('infer/request/plc/iris/predict/42', BODY)
    const reply = await old.wait(({ topic }) => topic === 'infer/reply/plc/iris/predict/42')
    expect(reply.payload.toString()).toBe(ANSWER)
    await old.close()
  })

  test('mosquitto_rr receives its answer', async () => {
    const { code, stdout } = await mosquittoRr([
      '-h',
      '127.0.0.1',
      '-p',
      String(broker.port),
      '-V',
      '5',
      '-q',
      '1',
      '-W',
      '10',
      '-t',
      'infer/request/me/iris/predict',
      '-e',
      'infer/reply/me/iris/predict',
      '-m',
      BODY,
    ])
    expect(code).toBe(0)
    expect(stdout.trim()).toBe(ANSWER)
  })

  test('mosquitto_pub and mosquitto_sub with MQTT 3.1.1 receive their answers', async () => {
    const where = ['-h', '127.0.0.1', '-p', String(broker.port), '-V', 'mqttv311', '-q', '1']
    // The retained card of the model shows that the subscription is active.
    const heard = mosquittoSub([
      ...where,
      '-t',
      'infer/models/iris',
      '-t',
      'infer/reply/sh/#',
      '-C',
      '2',
      '-W',
      '10',
      '-v',
    ])
    await running.connector.ready
    for (let attempt = 0; attempt < 5; attempt++) {
      await mosquittoPub([...where, '-t', 'infer/request/sh/iris/predict/7', '-m', BODY])
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    const { stdout } = await heard
    expect(stdout).toContain(`infer/reply/sh/iris/predict/7 ${ANSWER}`)
  })

  test('each of a thousand simultaneous requests receives its own answer exactly once', async () => {
    const many = await TestClient.connect(broker.url)
    await many.subscribe('infer/reply/many/#')
    const bodies = Array.from({ length: 1000 }, (_, index) => `{"instances":[[${index}]]}`)
    const correlations = bodies.map((_, index) => Buffer.from([0, index >> 8, index & 0xff, 0xff]))
    const all = many.wait(() => many.received.length === bodies.length, 'thousandth reply', 30_000)
    await Promise.all(
      bodies.map((body, index) =>
        many.publish('infer/request/many/iris/predict', body, { correlationData: correlations[index]! }),
      ),
    )
    await all
    const byCorrelation = new Map(
      many.received.map((reply) => [reply.properties.correlationData!.toString('hex'), reply]),
    )
    expect(byCorrelation.size).toBe(1000)
    for (const [index, body] of bodies.entries()) {
      const reply = byCorrelation.get(correlations[index]!.toString('hex'))!
      expect(reply.payload.toString()).toBe(JSON.stringify({ predictions: [digest(body)] }))
    }
    await many.close()
  })

  test('the default operation and the operations infer, metadata, ready and explain are executed', async () => {
    const infer = await client.ask('infer/request/cam7/iris/infer', '{"inputs":[]}')
    expect(infer.json()).toMatchObject({ model_name: 'iris', outputs: [{ data: [digest('{"inputs":[]}')] }] })
    const byDefault = await client.ask('infer/request/cam7/iris', '{"inputs":[1]}')
    expect(byDefault.json()).toMatchObject({ outputs: [{ data: [digest('{"inputs":[1]}')] }] })
    const v1Default = await client.ask('infer/request/cam7/only1', BODY)
    expect(v1Default.payload.toString()).toBe(ANSWER)
    const metadata = await client.ask('infer/request/cam7/iris/metadata', '')
    expect(metadata.json()).toMatchObject({ name: 'iris', platform: 'test' })
    const ready = await client.ask('infer/request/cam7/only1/ready', '')
    expect(ready.json()).toEqual({ name: 'only1', ready: true })
    const explain = await client.ask('infer/request/cam7/only1/explain', BODY)
    expect(explain.user['status']).toBe('200')
    const paths = new Set(upstream.requests.map(({ path }) => path))
    expect(paths).toContain('/v1/models/only1:explain')
    expect(paths).toContain('/v2/models/iris/infer')
  })

  test('a version or an alias in the topic is translated to the path on the model server', async () => {
    const version = await client.ask('infer/request/cam7/only2@3/infer', '{"inputs":[3]}')
    expect(version.user['status']).toBe('200')
    const alias = await client.ask('infer/request/cam7/only2/infer', '{"inputs":[2]}')
    expect(alias.user['status']).toBe('200')
    const paths = upstream.requests.map(({ path }) => path)
    expect(paths).toContain('/v2/models/two/versions/3/infer')
    expect(paths).toContain('/v2/models/two/infer')
  })

  test('binary tensors are forwarded with the length of the JSON part', async () => {
    const body = Buffer.concat([Buffer.from('{"inputs":[]}'), Buffer.from([0, 1, 255])])
    await client.ask('infer/request/cam7/iris/infer', body, {
      contentType: 'application/octet-stream',
      userProperties: { 'inference-header-content-length': '13' },
    })
    const seen = upstream.requests.at(-1)!
    expect(seen.headers['content-type']).toBe('application/octet-stream')
    expect(seen.headers['inference-header-content-length']).toBe('13')
    expect(seen.body).toEqual(body)
  })

  test('without a Content Type, binary tensors are recognized by the length of the JSON part', async () => {
    const body = Buffer.concat([Buffer.from('{"inputs":[]}'), Buffer.from([0, 1, 255])])
    const userProperties = { 'inference-header-content-length': '13' }
    await client.ask('infer/request/cam7/iris/infer', body, { userProperties })
    const seen = upstream.requests.at(-1)!
    expect(seen.headers['content-type']).toBe('application/octet-stream')
    expect(seen.headers['inference-header-content-length']).toBe('13')
    expect(seen.body).toEqual(body)
    const contentType = 'application/json'
    const reply = await client.ask('infer/request/cam7/iris/infer', body, { userProperties, contentType })
    expect([reply.user['code'], reply.payload.toString()]).toEqual([
      'bad_payload',
      expect.stringContaining('inference-header-content-length') as string,
    ])
  })

  test('the trace context is sent to the model server and returned in the reply', async () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    const reply = await client.ask('infer/request/cam7/iris/predict', BODY, {
      userProperties: { traceparent },
    })
    expect(reply.user['traceparent']).toBe(traceparent)
    expect(upstream.requests.at(-1)!.headers['traceparent']).toBe(traceparent)
  })

  test('the model server receives the Content-Type application/json without the parameters that the client adds', async () => {
    await client.ask('infer/request/cam7/iris/predict', BODY, {
      contentType: 'application/json; charset=utf-8',
    })
    expect(upstream.requests.at(-1)!.headers['content-type']).toBe('application/json')
  })

  test('unusual but valid JSON is forwarded byte for byte', async () => {
    const odd = ' {"instances":[9007199254740993, 1e400, -0, "\\u0000"],"__proto__":{"a":1}}\n'
    const reply = await client.ask('infer/request/cam7/iris/predict', odd)
    expect(reply.json()).toEqual({ predictions: [digest(odd)] })
  })

  test('cards describe the models, and statuses describe the connectors', async () => {
    const card = (name: string): ModelCard => {
      return client.received.findLast(({ topic }) => topic === `infer/models/${name}`)!.json() as ModelCard
    }
    expect(card('iris')).toMatchObject({
      contract: 1,
      name: 'iris',
      protocol_versions: ['v2', 'v1'],
      operations: ['predict', 'explain', 'infer', 'metadata', 'ready'],
      default_operation: 'infer',
      description: 'a test model',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
      example: { operation: 'predict', body: { instances: [[1]] } },
      request_topic: 'infer/request/{client}/iris/infer',
      reply_topic: 'infer/reply/{client}/iris/infer',
    })
    expect(card('only1')).toMatchObject({ operations: ['predict', 'explain', 'metadata', 'ready'] })
    expect(card('only2@3')).toMatchObject({ default_operation: 'infer' })
    const status = client.received
      .findLast(({ topic }) => topic.startsWith('infer/status/'))!
      .json() as ConnectorStatus
    expect(status).toMatchObject({ contract: 1, state: 'online' })
    expect(Math.abs(Date.now() - status.timestamp)).toBeLessThan(60_000)
  })

  test('requests above the limits of a model are rejected at once, and requests within the limits are answered', async () => {
    const tight = await runConnector({
      root: 'tight',
      broker: { url: broker.url },
      models: {
        'slow-300': {
          url: upstream.url,
          protocolVersion: 'v1',
          limits: { concurrency: 2, queueDepthMax: 3 },
        },
      },
    })
    const busy = await TestClient.connect(broker.url)
    await busy.subscribe('tight/reply/cam7/#')
    const replies = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        busy.ask('tight/request/cam7/slow-300/predict', `{"instances":[${index}]}`),
      ),
    )
    const statuses = replies.map(({ user }) => user['status'])
    expect(statuses.filter((status) => status === '200')).toHaveLength(5)
    const refused = replies.filter(({ user }) => user['code'] === 'overloaded')
    expect(refused).toHaveLength(7)
    expect(refused[0]!.json()).toMatchObject({ status: 429, retryable: true, retry_after_ms: 500 })
    await busy.close()
    await tight.connector.stop()
  })

  test('a reload adds, replaces and removes models without losing the session', async () => {
    const { connector } = running
    const { loadConfig } = await import('@inferwire/connector')
    const configure = (models: NonNullable<Parameters<typeof loadConfig>[0]['flags']>['models']) => {
      return loadConfig({
        env: {},
        flags: {
          name: 'reload',
          root: 'reload',
          broker: { url: broker.url },
          admin: { port: 0 },
          models: models ?? {},
        },
      })
    }
    const { url } = upstream
    const other = await runConnector({
      name: 'reload',
      root: 'reload',
      broker: { url: broker.url },
      models: { a: { url, protocolVersion: 'v1' }, b: { url, protocolVersion: 'v1' } },
    })
    const watcher = await TestClient.connect(broker.url)
    await watcher.subscribe('reload/reply/#')
    await watcher.subscribe('reload/models/#')
    await watcher.wait(({ topic, payload }) => topic === 'reload/models/b' && payload.length > 0)
    other.connector.reload(
      configure({ a: { url, protocolVersion: 'v1', timeoutMs: 1234 }, c: { url, protocolVersion: 'v1' } }),
    )
    await watcher.wait(
      ({ topic, payload }) => topic === 'reload/models/b' && payload.length === 0,
      'cleared card',
    )
    await watcher.wait(({ topic }) => topic === 'reload/models/c', 'new card')
    await watcher.wait(
      ({ topic, payload }) => topic === 'reload/models/a' && payload.includes('1234'),
      'changed card',
    )
    const gone = await watcher.ask('reload/request/cam7/b/predict', BODY)
    expect(gone.user['code']).toBe('model_not_found')
    const added = await watcher.ask('reload/request/cam7/c/predict', BODY)
    expect(added.user['status']).toBe('200')
    expect(other.log.filter((line) => line.includes('session_ready'))).toHaveLength(1)
    await watcher.close()
    await other.connector.stop()
    expect(connector.adminUrl).toBeDefined()
  })

  test('a connector that uses MQTT 3.1.1 answers on the topic that is derived from the request topic', async () => {
    const old = await runConnector({
      root: 'v311',
      broker: { url: broker.url, mqttVersion: '3.1.1' },
      models: { iris: { url: upstream.url, protocolVersion: 'v1' } },
    })
    const asker = await TestClient.connect(broker.url, { protocolVersion: 4 })
    await asker.subscribe('v311/reply/cam7/#')
    await asker.publish('v311/request/cam7/iris/predict/1', BODY)
    const reply = await asker.wait(({ topic }) => topic === 'v311/reply/cam7/iris/predict/1')
    expect(reply.payload.toString()).toBe(ANSWER)
    await asker.close()
    await old.connector.stop()
  })
})
