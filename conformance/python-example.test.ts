// Tests a Python client that was written from the wire contract alone: examples/python/infer.py with paho-mqtt.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Secret } from '@inferwire/connector'
import { aclText } from '@inferwire/mosquitto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pythonOf } from './fixtures/cache-folder.ts'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { run, type CommandResult } from './fixtures/processes.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { digest } from './rig/model-behaviours.ts'
import { FakeModelServer } from './rig/model-server.ts'

const EXAMPLE = new URL('../examples/python/', import.meta.url)
const BODY = '{"instances":[[6.8,2.8,4.8,1.4]]}'

let broker: Mosquitto
let upstream: FakeModelServer
let running: TestConnector
let passwordFile: string

beforeAll(async () => {
  broker = await startMosquitto({ users: { inferwire: 'c', sensor: 's3cret' }, acl: aclText() })
  upstream = await FakeModelServer.start()
  running = await runConnector({
    broker: { url: broker.url, username: 'inferwire', password: new Secret('c') as never },
    models: {
      iris: { url: upstream.url, protocolVersion: 'v1' },
      error500: { url: upstream.url, protocolVersion: 'v1' },
      hang: { url: upstream.url, protocolVersion: 'v1' },
    },
  })
  passwordFile = join(tempFolder('paho'), 'password')
  writeFileSync(passwordFile, 's3cret\n')
})

afterAll(async () => {
  await running.connector.stop()
  await upstream.stop()
  await broker.stop()
})

function infer(...args: string[]): Promise<CommandResult> {
  const python = pythonOf('paho', new URL('requirements.txt', EXAMPLE))
  const login = ['--port', String(broker.port), '--username', 'sensor', '--password-file', passwordFile]
  return run(python, [fileURLToPath(new URL('infer.py', EXAMPLE)), ...login, ...args])
}

test.each(['5', '3.1.1'])('paho-mqtt receives its answer over MQTT %s', async (version) => {
  const { code, stdout, stderr } = await infer('--mqtt-version', version, 'iris', 'predict', BODY)
  expect(stderr).toBe(version === '5' ? 'status 200\n' : '')
  expect(JSON.parse(stdout)).toEqual({ predictions: [digest(BODY)] })
  expect(code).toBe(0)
})

test.each(['5', '3.1.1'])('an error from the model results in exit code 1 over MQTT %s', async (version) => {
  const { code, stdout } = await infer('--mqtt-version', version, 'error500', 'predict', BODY)
  expect(stdout).toContain('ValueError : boom')
  expect(code).toBe(1)
})

test('a missing answer results in exit code 124', async () => {
  const { code } = await infer('--mqtt-version', '3.1.1', '--timeout', '1', 'hang', 'predict', BODY)
  expect(code).toBe(124)
})
