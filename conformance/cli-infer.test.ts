// Tests what `inferwire infer` sends besides JSON bodies: tensors from files, other content types, MQTT properties.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundledModels, startModelServer, type ModelServer } from '@inferwire/model-server'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { inferwire } from './fixtures/inferwire.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { shell } from './fixtures/processes.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { predictBody } from './rig/answers.ts'
import { FakeModelServer } from './rig/model-server.ts'

const folder = tempFolder('cli-infer')
let broker: Mosquitto
let modelServer: ModelServer
let upstream: FakeModelServer
let running: TestConnector
let observer: TestClient
let at: string[]

beforeAll(async () => {
  broker = await startMosquitto()
  modelServer = await startModelServer({ models: bundledModels() })
  upstream = await FakeModelServer.start({ answer: predictBody })
  running = await runConnector({
    broker: { url: broker.url },
    models: {
      iris: { url: modelServer.url },
      digits: { url: modelServer.url },
      mirror: {
        url: upstream.url,
        protocolVersion: 'v1',
        passHeaders: ['x-line'],
        contentTypes: ['image/jpeg'],
      },
    },
  })
  observer = await TestClient.connect(broker.url)
  await observer.subscribe('infer/#')
  for (const model of ['iris', 'digits', 'mirror']) {
    await observer.wait(({ topic }) => topic === `infer/models/${model}`, 'card', 20_000)
  }
  at = ['-p', String(broker.port)]
})

afterAll(async () => {
  await observer?.close()
  await running?.connector.stop()
  await upstream?.stop()
  await modelServer?.close()
  await broker?.stop()
})

interface V2Answer {
  readonly outputs: readonly { readonly name: string; readonly datatype: string; readonly data: number[] }[]
}

/** Runs `infer` and returns the outputs of the answer by name. */
async function outputsOf(...argv: string[]): Promise<Record<string, number[]>> {
  const { code, stdout, stderr } = await inferwire(['infer', ...argv, ...at])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const { outputs } = JSON.parse(stdout) as V2Answer
  return Object.fromEntries(outputs.map(({ name, data }) => [name, data]))
}

/** Writes a file and returns its path. */
function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

const IRIS = [6.8, 2.8, 4.8, 1.4, 5.1, 3.5, 1.4, 0.2]

test('infer sends tensors from .npy, .bin and .json files, and prints the outputs as JSON', async () => {
  const header = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 4), }"
  const npy = Buffer.concat([
    Buffer.from('\x93NUMPY\x01\x00', 'latin1'),
    Buffer.from(Uint16Array.of(header.length + 1).buffer),
    Buffer.from(`${header}\n`),
    Buffer.from(Float64Array.from(IRIS).buffer),
  ])
  const bin = Buffer.from(Float32Array.from(IRIS).buffer)
  const json = JSON.stringify([IRIS.slice(0, 4), IRIS.slice(4)])
  for (const path of [file('iris.npy', npy), file('iris.bin', bin), file('iris.json', json)]) {
    expect((await outputsOf('iris', '--input', `X=${path}`))['label'], path).toEqual([1, 0])
  }
  const request = observer.received.findLast(({ topic }) => topic.startsWith('infer/request/'))!
  expect(request.user['inference-header-content-length']).toBeDefined()
})

test('an image is recognized, whatever its size; -o body prints the answer unchanged', async () => {
  const url = new URL('../packages/model-server/examples/digits-v1.json', import.meta.url)
  const [digit] = (JSON.parse(readFileSync(url, 'utf8')) as { instances: number[][] }).instances
  // Dark ink on white paper, 40 x 40 pixels.
  const pixels = Array.from({ length: 1_600 }, (_, at) => {
    const ink = digit![Math.floor(at / 200) * 8 + Math.floor((at % 40) / 5)]!
    return Math.round(255 - (ink * 255) / 16)
  })
  const pgm = Buffer.concat([Buffer.from('P5 40 40 255\n'), Buffer.from(pixels)])
  const argv = ['digits', '--input', file('seven.pgm', pgm), '--pixel-max', '16', '--invert']
  const { code, stdout, stderr } = await inferwire(['infer', ...argv, ...at])
  expect(code).toBe(0)
  expect(stderr).toMatch(/^file ".*seven.pgm": 40x40 scaled to 8x8 for input "\w+" \(64 values\), 0 to 16\n$/)
  const [label, probabilities] = (JSON.parse(stdout) as V2Answer).outputs
  expect(label!.data).toEqual([7])
  expect(probabilities!.data[7]).toBeGreaterThan(0.9)
  const exact = await inferwire(['infer', ...argv, '-o', 'body', ...at])
  expect(exact.stdout).toContain('"binary_data_size"')
})

test('with --no-wait, infer sends tensors and leaves the answer to be fetched later', async () => {
  const argv = [
    'infer',
    'iris',
    '--input',
    file('one.json', JSON.stringify(IRIS.slice(0, 4))),
    '--no-wait',
    ...at,
  ]
  const sent = await inferwire(argv)
  expect({ code: sent.code, stderr: sent.stderr }).toEqual({ code: 0, stderr: '' })
  const result = await inferwire(['result', sent.stdout.trim(), ...at])
  expect({ code: result.code, stderr: result.stderr }).toEqual({ code: 0, stderr: '' })
  expect(JSON.parse(result.stdout)).toMatchObject({ outputs: [{ name: 'label', data: [1] }, {}] })
})

test('-D sets user properties, the content type and the expiry, as in mosquitto_pub', async () => {
  const jpeg = file('photo.jpg', Uint8Array.of(0xff, 0xd8, 0xff, 0x00))
  const properties = [
    '-D publish user-property x-line 3',
    '-D publish user-property x-other hidden',
    '-D publish content-type image/jpeg',
    '-D publish message-expiry-interval 77',
  ].flatMap((option) => option.split(' '))
  const sent = await inferwire(['infer', 'mirror', '-f', jpeg, ...properties, '--priority', '7', ...at])
  expect(sent, sent.stderr).toMatchObject({ code: 0 })
  const { headers, body } = upstream.requests.at(-1)!
  expect(headers).toMatchObject({ 'x-line': '3', 'content-type': 'image/jpeg' })
  expect(headers).not.toHaveProperty('x-other')
  expect(headers).not.toHaveProperty('inference-header-content-length')
  expect([...body]).toEqual([0xff, 0xd8, 0xff, 0x00])
  // The command may end before the observer has received its request.
  const request = await observer.wait(
    ({ topic, user }) => topic.includes('/request/') && user['x-line'] === '3',
    'request',
  )
  expect(request.user).toMatchObject({ priority: '7', 'x-other': 'hidden' })
  // The broker subtracts the seconds for which it held the message (MQTT 5 §3.3.2.3.3).
  expect(request.properties.messageExpiryInterval).toBeLessThanOrEqual(77)
  expect(request.properties.messageExpiryInterval).toBeGreaterThan(60)
})

test('--show prints a command that includes the properties, and the printed command works', async () => {
  const argv = [
    'infer',
    'mirror',
    '-d',
    '{"instances":["shown"]}',
    '-D',
    'publish',
    'user-property',
    'x-line',
    "it's 4",
  ]
  const shown = await inferwire([...argv, '--show', 'mosquitto', ...at])
  expect((await shell(shown.stdout)).code).toBe(0)
  expect(upstream.requests.at(-1)).toMatchObject({ headers: { 'x-line': "it's 4" } })
  const curl = await inferwire([...argv, '--show', 'curl', '--url', upstream.url])
  expect((await shell(curl.stdout)).code).toBe(0)
  expect(upstream.requests.at(-1)).toMatchObject({ headers: { 'x-line': "it's 4" } })
})

test.each<[argv: string[], code: number, message: RegExp]>([
  [
    ['mirror', '--input', 'x=a.npy'],
    64,
    /does not accept tensors.*no operation infer[\s\S]*predict, explain/,
  ],
  [['iris', '--input', 'image=a.npy'], 64, /has no input "image"[\s\S]*Its inputs are: X/],
  [['iris', '--input', 'X=/none.npy'], 66, /cannot be read/],
  [['iris', '--input', 'X=a.npy', '-d', '{}'], 64, /cannot be combined/],
  [['iris', '--input', 'X=a.npy', '--operation', 'predict'], 64, /predict does not accept/],
  [['iris', '--input', 'X=a.npy', '--content-type', 'text/csv'], 64, /its own content type/],
  [['irs', '--input', 'X=a.npy'], 1, /Did you mean "iris"/],
  [['iris', '-d', '{}', '--pixel-max', '0'], 64, /above 0/],
  [['iris', '-d', '{}', '-D', 'publish', 'x'], 64, /-D publish x is not supported/],
  [['iris', '-d', '{}', '-V', '3.1.1', '--priority', '1'], 64, /no user properties/],
  [['iris', '-d', '{}', '--priority', '12'], 64, /from 0 to 9/],
  [
    ['mirror', '-d', '{"inputs":[]}'],
    1,
    /not offer infer; it offers: .*405 operation_not_supported[^]*The body has "inputs"/,
  ],
  [
    ['mirror', '-d', 'x', '--content-type', 'image/png'],
    65,
    /application\/json or image\/jpeg.*unsupported_content_type/,
  ],
])('%j exits with %i', async (argv, code, message) => {
  const result = await inferwire(['infer', ...argv, ...at])
  expect(result.stderr).toMatch(message)
  expect(result.stderr).toMatch(/^error: .+\n {7}\S/)
  expect({ code: result.code, stdout: result.stdout }).toEqual({ code, stdout: '' })
})
