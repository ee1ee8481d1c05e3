// Tests a request that kills the process: it is tried three times, then answered and set aside; all others are
// answered.
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { writeFileSync } from 'node:fs'
import { startInferwire } from './fixtures/inferwire.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import type { RunningCommand } from './fixtures/processes.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { digest } from './rig/model-behaviours.ts'
import { FakeModelServer } from './rig/model-server.ts'

const ENDS_THE_PROCESS = fileURLToPath(new URL('fixtures/ends-the-process.mjs', import.meta.url))
// This timeout is long, because several processes start and end while a request waits.
const PATIENCE_MS = 40_000
const POISON = '{"instances":["ends-the-process"]}'

let broker: Mosquitto
let upstream: FakeModelServer
let client: TestClient
let connector: RunningCommand | undefined

beforeAll(async () => {
  broker = await startMosquitto()
  upstream = await FakeModelServer.start()
  client = await TestClient.connect(broker.url, { isPersistent: true })
  await client.subscribe('infer/reply/cam7/#')
  await client.subscribe('plant/dead-letters')
})

afterEach(async () => {
  connector?.signal('SIGKILL')
  await connector?.ended
})

afterAll(async () => {
  await client.close()
  await upstream.stop()
  await broker.stop()
})

async function start(configFile: string): Promise<RunningCommand> {
  connector = startInferwire(['connect', '-c', configFile], {
    env: { NODE_OPTIONS: `--import=${ENDS_THE_PROCESS}`, ENDS_AT_PORT: String(upstream.port) },
  })
  await connector.said(/session_ready/)
  return connector
}

function configFile(name: string, stateFolder?: string): string {
  const folder = tempFolder('poison')
  const config = {
    name,
    broker: { url: broker.url },
    models: {
      'slow-50': { url: upstream.url, protocolVersion: 'v1' },
      'slow-500': { url: upstream.url, protocolVersion: 'v1' },
    },
    poison: { stateFolder: stateFolder ?? join(folder, 'state'), deadLetterTopic: 'plant/dead-letters' },
    admin: { port: 0 },
    log: { format: 'json' },
  }
  const path = join(folder, 'inferwire.yaml')
  writeFileSync(path, JSON.stringify(config))
  return path
}

test('a request that kills the process is tried three times, and is then answered with `internal` and set aside', async () => {
  const config = configFile('poisoned')
  await start(config)
  const topic = 'infer/request/cam7/slow-50/predict'
  const innocent = Array.from({ length: 20 }, (_, index) => `{"instances":[${index}]}`)
  const replies = innocent.map((body) => client.ask(topic, body, {}, PATIENCE_MS))
  await expect.poll(() => upstream.calls('slow-50')).toBe(20)
  const poisoned = client.ask(
    topic,
    POISON,
    {
      contentType: 'application/json',
      userProperties: { line: '3' },
      correlationData: Buffer.from('poison'),
    },
    PATIENCE_MS,
  )
  const late = Array.from({ length: 5 }, (_, index) =>
    client.ask(topic, `{"instances":[${100 + index}]}`, {}, PATIENCE_MS),
  )

  let deaths = 0
  let isOver = false
  void poisoned.then(() => (isOver = true))
  while (!isOver) {
    const ended = connector!.ended.then(() => true)
    if (!(await Promise.race([ended, poisoned.then(() => false)]))) break
    deaths += 1
    expect(deaths).toBeLessThanOrEqual(3)
    // The process may end before it is ready.
    await start(config).catch(() => {})
  }
  expect(deaths).toBe(3)
  const answer = await poisoned
  expect(answer.user['code']).toBe('internal')
  expect(answer.json()).toMatchObject({ code: 'internal', poison: true, retryable: false })

  for (const [index, body] of innocent.entries()) {
    expect((await replies[index]!).json()).toEqual({ predictions: [digest(body)] })
  }
  for (const reply of await Promise.all(late)) expect(reply.user['status']).toBe('200')
  const letter = await client.wait((message) => message.topic === 'plant/dead-letters', 'dead letter')
  expect(letter.retain).toBe(false)
  expect(letter.json()).toMatchObject({
    topic,
    payload_base64: Buffer.from(POISON).toString('base64'),
    properties: {
      contentType: 'application/json',
      correlationData: Buffer.from('poison').toString('base64'),
      userProperties: ['line', '3'],
    },
    attempts: 3,
  })
  expect(connector!.stderr()).toMatch(/"event":"request_set_aside".*"attempts":3/)

  // The request is acknowledged, so the next process never receives it.
  await expect.poll(() => connector!.stderr(), { timeout: 20_000 }).toContain('suspicion_ended')
  connector!.signal('SIGTERM')
  expect((await connector!.ended).code).toBe(0)
  await start(config)
  expect((await client.ask(topic, '{"instances":[7]}')).user['status']).toBe('200')
  expect(connector!.stderr()).not.toContain('suspicion_began')
}, 60_000)

test('after two kills from outside while many requests are in flight, no request is treated as poison', async () => {
  const config = configFile('killed')
  await start(config)
  const topic = 'infer/request/cam7/slow-500/predict'
  const replies = Array.from({ length: 30 }, (_, index) =>
    client.ask(topic, `{"instances":[${1_000 + index}]}`, {}, PATIENCE_MS),
  )
  let seen = 0
  // A third kill in a row could hit a request that was also in flight at the second kill. Such a request
  // would look like poison.
  for (let kill = 0; kill < 2; kill++) {
    await expect.poll(() => upstream.calls('slow-500'), { timeout: 10_000 }).toBeGreaterThan(seen)
    connector!.signal('SIGKILL')
    await connector!.ended
    seen = upstream.calls('slow-500')
    await start(config)
  }
  const codes = (await Promise.all(replies)).map(({ user }) => user['status'])
  expect(new Set(codes)).toEqual(new Set(['200']))
}, 60_000)

test('with a read-only state folder the connector logs a warning and still works', async () => {
  const folder = tempFolder('no-state')
  writeFileSync(join(folder, 'file'), '')
  await start(configFile('nofolder', join(folder, 'file', 'state')))
  expect(connector!.stderr()).toMatch(/poison_journal_off.*poison\.stateFolder/)
  const reply = await client.ask('infer/request/cam7/slow-50/predict', '{"instances":[1]}')
  expect(reply.user['status']).toBe('200')
})
