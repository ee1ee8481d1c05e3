// Tests replies that are fetched later, with `infer --no-wait` and `result`, on a real Mosquitto.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { aclText } from '@inferwire/mosquitto'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { inferwire, startInferwire } from './fixtures/inferwire.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import type { CommandResult, RunningCommand } from './fixtures/processes.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { Gate, predictBody } from './rig/answers.ts'
import { FakeModelServer } from './rig/model-server.ts'

const HOUR_MS = 3_600_000
const folder = tempFolder('long-results')
const gate = new Gate()
let broker: Mosquitto
let upstream: FakeModelServer
let config: string
let connector: RunningCommand
// Detects when the connector publishes a reply for a client that is not connected.
let observer: TestClient

beforeAll(async () => {
  broker = await startMosquitto({
    users: { inferwire: 'c-secret', 'line-3': 'l-secret', 'line-4': 'm-secret', observer: 'o-secret' },
    acl: `${aclText()}\nuser observer\ntopic read infer/reply/#\n`,
  })
  observer = await TestClient.connect(broker.url, { username: 'observer', password: 'o-secret' })
  await observer.subscribe('infer/reply/#')
  upstream = await FakeModelServer.start({ answer: gate.hold(predictBody, 'held') })
  config = join(folder, 'inferwire.yaml')
  writeFileSync(join(folder, 'password'), 'c-secret')
  writeFileSync(
    config,
    JSON.stringify({
      name: 'long-results',
      broker: { url: broker.url, username: 'inferwire', passwordFile: join(folder, 'password') },
      admin: { enabled: false },
      log: { format: 'json' },
      poison: { stateFolder: folder },
      models: {
        held: { url: upstream.url, protocolVersion: 'v1', timeoutMs: HOUR_MS },
        quick: { url: upstream.url, protocolVersion: 'v1' },
      },
    }),
  )
  connector = await startConnector()
})

afterEach(() => gate.release())

afterAll(async () => {
  await observer?.close()
  connector?.signal('SIGKILL')
  await connector?.ended
  await upstream?.stop()
  await broker?.stop()
})

async function startConnector(): Promise<RunningCommand> {
  const command = startInferwire(['connect', '-c', config])
  await command.said(/lane_ready/)
  return command
}

const login = (user = 'line-3', password = 'l-secret'): string[] => [
  '-p',
  String(broker.port),
  '-u',
  user,
  '-P',
  password,
]

/** Sends a request without waiting for its reply, and returns its id when the model server has received it. */
async function submit(body: string): Promise<string> {
  const sent = await inferwire(['infer', 'held', '-d', body, '--no-wait', ...login()])
  expect({ code: sent.code, stderr: sent.stderr }).toEqual({ code: 0, stderr: '' })
  expect(sent.stdout).toMatch(/^[0-9a-f]{32}\n$/)
  await expect.poll(() => callsWith(body)).toBeGreaterThan(0)
  return sent.stdout.trim()
}

const callsWith = (body: string): number => upstream.bodies('held').filter((call) => call === body).length

const result = (id: string, ...argv: string[]): Promise<CommandResult> =>
  inferwire(['result', id, ...login(), ...argv])

async function releaseAndWaitForReply(word: string): Promise<void> {
  gate.release()
  await observer.wait(({ topic, payload }) => topic.includes('/held/') && payload.includes(word), 'reply')
}

test('the reply waits in its session while the client is away, and other requests are answered meanwhile', async () => {
  const body = '{"instances":["away"]}'
  const id = await submit(body)
  const quick = await inferwire(['infer', 'quick', '-d', '{"instances":["meanwhile"]}', ...login()])
  expect(quick.code).toBe(0)
  await releaseAndWaitForReply('away')
  const { code, stdout, stderr } = await result(id)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(JSON.parse(stdout)).toEqual({ predictions: [JSON.parse(body)] })

  // Fetching the reply ended the session.
  const again = await result(id)
  expect(again).toMatchObject({ code: 66, stdout: '' })
  expect(again.stderr).toMatch(/^error: .*result_not_found\)\n {7}\S/)
})

test('a result that has not arrived in time can be fetched later, by a process that waits for it', async () => {
  const id = await submit('{"instances":["early"]}')
  const early = await result(id, '-t', '1')
  expect(early).toMatchObject({ code: 124, stdout: '' })
  const waiting = result(id, '-t', '60', '-o', 'json', '-v')
  gate.release()
  const { code, stdout, stderr } = await waiting
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ status: 200, body: { predictions: [{ instances: ['early'] }] } })
  expect(stderr).toMatch(/^200 .*upstream;dur=/)
})

test('a connector that is killed during the call executes it again after its restart, and the client gets one reply', async () => {
  const body = '{"instances":["killed"]}'
  const id = await submit(body)
  connector.signal('SIGKILL')
  await connector.ended
  connector = await startConnector()
  await expect.poll(() => callsWith(body), { timeout: 20_000 }).toBe(2)
  gate.release()
  expect(JSON.parse((await result(id, '-t', '30')).stdout)).toEqual({ predictions: [JSON.parse(body)] })
})

test('the reply survives a restart of the broker', async () => {
  const body = '{"instances":["restart"]}'
  const id = await submit(body)
  await releaseAndWaitForReply('restart')
  await broker.stop('SIGTERM')
  await broker.start()
  const { stdout, stderr } = await result(id)
  expect(stderr).toBe('')
  expect(JSON.parse(stdout)).toEqual({ predictions: [JSON.parse(body)] })
})

test('an error can be fetched like any other result', async () => {
  const sent = await inferwire([
    'infer',
    'quick',
    '-d',
    '{"instances":7',
    '--content-type',
    'text/csv',
    '--no-wait',
    ...login(),
  ])
  const { code, stderr, stdout } = await result(sent.stdout.trim())
  expect(stderr).toMatch(/415 unsupported_content_type/)
  expect({ code, stdout }).toEqual({ code: 65, stdout: '' })
})

test('another user who knows the id cannot read the result', async () => {
  const id = await submit('{"instances":["private"]}')
  await releaseAndWaitForReply('private')
  const { code, stdout } = await inferwire(['result', id, ...login('line-4', 'm-secret'), '-t', '1'])
  expect({ code, stdout }).toEqual({ code: 124, stdout: '' })
})

test.each([
  [['result', 'x'], 64, /not the id of a request/],
  [['result', 'a'.repeat(32), '-V', '3.1.1'], 64, /requires MQTT 5/],
  [['infer', 'quick', '-d', '{}', '--no-wait', '-V', '3.1.1'], 64, /requires MQTT 5/],
  [['infer', 'quick', '-d', '{}', '--no-wait', '--root', 'elsewhere'], 77, /not_authorized/],
])('%j exits with %i', async (argv, code, message) => {
  const { code: actual, stderr, stdout } = await inferwire([...argv, ...login()])
  expect(stderr).toMatch(message)
  expect({ actual, stdout }).toEqual({ actual: code, stdout: '' })
})
