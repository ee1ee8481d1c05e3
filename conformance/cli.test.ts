// Tests the `inferwire` command as a process, against a real broker and real model servers.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundledModels, startModelServer, type ModelServer } from '@inferwire/model-server'
import { aclText } from '@inferwire/mosquitto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort } from './fixtures/free-port.ts'
import { inferwire, inTerminal, startInferwire } from './fixtures/inferwire.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { shell, type RunningCommand } from './fixtures/processes.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { hang, json } from './rig/answers.ts'
import { FakeModelServer } from './rig/model-server.ts'

const BODY = '{"instances":[[6.8,2.8,4.8,1.4],[6.0,3.4,4.5,1.6]]}'
const folder = tempFolder('cli')
let broker: Mosquitto
let modelServer: ModelServer
let failing: FakeModelServer
let connector: RunningCommand
let at: string[]

beforeAll(async () => {
  broker = await startMosquitto()
  modelServer = await startModelServer({ models: bundledModels() })
  const broken = json(500, { error: 'shape mismatch' })
  failing = await FakeModelServer.start({
    answer: (reply, call) => (call.model === 'broken' ? broken : hang)(reply, call),
  })
  const failingUrl = failing.url
  const iris = bundledModels().find(({ name }) => name === 'iris')!
  writeFileSync(
    join(folder, 'inferwire.yaml'),
    JSON.stringify({
      name: 'edge-1',
      broker: { url: broker.url },
      admin: { port: 0 },
      models: {
        iris: { url: modelServer.url, example: { operation: 'predict', body: iris.example } },
        broken: { url: failingUrl, protocolVersion: 'v1' },
        stuck: { url: failingUrl, protocolVersion: 'v1' },
        gone: { url: `http://127.0.0.1:${await freePort()}`, protocolVersion: 'v1' },
      },
      policy: { allow: [{ clients: ['cli', 'cam7'], models: ['*'] }], showForbidden: true },
    }),
  )
  connector = startInferwire(['connect', '-c', join(folder, 'inferwire.yaml'), '--log-format', 'json'])
  await connector.said(/"event":"session_ready"/)
  await connector.said(/"event":"model_exposed","model":"iris"/)
  at = ['-h', '127.0.0.1', '-p', String(broker.port)]
})

afterAll(async () => {
  connector?.signal('SIGTERM')
  await connector?.ended
  await failing?.stop()
  await modelServer?.close()
  await broker?.stop()
})

describe('infer', () => {
  test('prints only the JSON of the answer and a line break on standard output', async () => {
    const { code, stdout, stderr } = await inferwire(['infer', 'iris', '-d', BODY, ...at])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^\{"predictions":\s*\[1,\s*1\]\}\n$/)
    const bytes = await inferwire(['infer', 'iris', '-d', BODY, '-o', 'body', ...at])
    expect(`${bytes.stdout}\n`).toBe(stdout)
  })

  test('reads the body from a file or from standard input', async () => {
    const file = join(folder, 'request.json')
    writeFileSync(file, BODY)
    const fromFile = await inferwire(['infer', 'iris', '-f', file, ...at])
    const fromInput = await inferwire(['infer', 'iris', ...at], { input: BODY })
    expect(JSON.parse(fromFile.stdout)).toHaveProperty('predictions')
    expect(fromInput.stdout).toBe(fromFile.stdout)
  })

  test('uses V2 for a V2 body', async () => {
    const body = '{"inputs":[{"name":"X","datatype":"FP32","shape":[1,4],"data":[6.8,2.8,4.8,1.4]}]}'
    const card = JSON.parse(
      (await inferwire(['models', 'describe', 'iris', '-o', 'json', ...at])).stdout,
    ) as {
      inputs: { name: string }[]
    }
    const named = body.replace('"X"', JSON.stringify(card.inputs[0]!.name))
    const { code, stdout, stderr } = await inferwire(['infer', 'iris', '-d', named, ...at])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({ model_name: 'iris' })
  })

  test('works over MQTT 3.1.1', async () => {
    const { code, stdout } = await inferwire(['infer', 'iris', '-d', BODY, '-V', '3.1.1', ...at])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toHaveProperty('predictions')
  })

  test('with --verbose, prints status and time on standard error', async () => {
    const { stdout, stderr } = await inferwire(['infer', 'iris', '-d', BODY, '-v', ...at])
    expect(stderr).toMatch(/^200 {2}[\d.]+ ms .*upstream;dur=/)
    expect(JSON.parse(stdout)).toHaveProperty('predictions')
  })

  test('with -o json, prints one object that contains the answer and its details', async () => {
    const { stdout } = await inferwire(['infer', 'iris', '-d', BODY, '-o', 'json', ...at])
    expect(JSON.parse(stdout)).toMatchObject({ model: 'iris', operation: 'predict', status: 200, body: {} })
  })

  test("on a terminal, sends the card's example if no body is given, and indents the answer", async () => {
    const { code, stdout } = await inTerminal(['infer', 'iris', ...at])
    expect(code).toBe(0)
    expect(stdout).toMatch(/sending the example from the model's card/)
    expect(stdout).toMatch(/\{\r\n {2}"predictions": \[/)
    expect(stdout).toMatch(/200 {2}[\d.]+ ms/)
  })

  test('needs no body if the operation has none', async () => {
    const { code, stdout } = await inferwire(['infer', 'iris', '--operation', 'ready', ...at])
    expect(code).toBe(0)
    expect(stdout).not.toBe('')
  })

  test.each([
    [['-h', '127.0.0.1'], 'a host'],
    [['--broker', 'URL'], 'a URL'],
  ])('connects to the broker that %j specifies', async ([flag]) => {
    const place = flag === '-h' ? at : ['--broker', broker.url]
    expect((await inferwire(['infer', 'iris', '-d', BODY, ...place])).code).toBe(0)
  })

  test('connects to the broker that the environment specifies', async () => {
    const env = { INFERWIRE_BROKER_URL: broker.url }
    expect((await inferwire(['infer', 'iris', '-d', BODY], { env })).code).toBe(0)
  })
})

describe('infer reports what failed and what to do, and exits with the matching code', () => {
  test.each<[name: string, argv: string[], code: number, words: RegExp]>([
    ['a failed model', ['broken', '-d', BODY], 1, /shape mismatch.*500 upstream_error/],
    ['an unknown model', ['irs', '-d', BODY], 1, /404 model_not_found[\s\S]*models ls/],
    [
      'an operation that the model lacks',
      ['broken', '-d', BODY, '--operation', 'infer'],
      1,
      /operation_not_supported/,
    ],
    ['no answer in time', ['stuck', '-d', BODY, '-t', '1'], 124, /deadline_exceeded[\s\S]*-t SECONDS/],
    ['an unreachable model server', ['gone', '-d', BODY], 75, /upstream_unreachable/],
    ['a client without permission', ['iris', '-d', BODY, '--client', 'stranger'], 77, /forbidden_model/],
    ['a body that is not JSON', ['iris', '-d', '{'], 65, /not JSON/],
    ['no body', ['iris'], 65, /standard input is empty/],
    ['a missing file', ['iris', '-f', '/does/not/exist'], 66, /cannot be read/],
    ['an invalid model name', ['a/b', '-d', BODY], 64, /cannot be the name/],
    ['an unknown operation', ['iris', '-d', BODY, '--operation', 'predct'], 64, /no operation "predct"/],
    ['an invalid content type', ['iris', '-d', BODY, '--content-type', 'x'], 64, /Expected a type such as/],
    ['an unknown option', ['iris', '--dta', BODY], 64, /Did you mean --data/],
    ['no connector', ['iris', '-d', BODY, '--root', 'elsewhere'], 69, /no_connector[\s\S]*inferwire connect/],
  ])('%s', async (_name, argv, code, words) => {
    const result = await inferwire(['infer', ...argv, ...at])
    expect(result.stderr).toMatch(words)
    expect(result.stderr).toMatch(/^error: .+\n {7}\S/)
    expect({ code: result.code, stdout: result.stdout }).toEqual({ code, stdout: '' })
  })

  test('an unreachable broker', async () => {
    const { code, stderr } = await inferwire([
      'infer',
      'iris',
      '-d',
      BODY,
      '-p',
      String(await freePort()),
      '-t',
      '2',
    ])
    expect(stderr).toMatch(/^error: .*broker_unreachable.*\n {7}Check -h and -p/)
    expect(stderr).not.toContain('INFERWIRE_BROKER_URL')
    expect(code).toBe(69)
  })

  test('an unreachable broker that an environment variable specifies', async () => {
    const env = { INFERWIRE_BROKER_URL: `mqtt://127.0.0.1:${await freePort()}` }
    const { code, stderr } = await inferwire(['models', 'ls'], { env })
    expect(stderr).toContain(' The address comes from INFERWIRE_BROKER_URL. (broker_unreachable)')
    expect(code).toBe(69)
  })

  test('Ctrl-C', async () => {
    const calls = failing.calls('stuck')
    const command = startInferwire(['infer', 'stuck', '-d', BODY, ...at])
    await expect.poll(() => failing.calls('stuck'), { timeout: 10_000 }).toBe(calls + 1)
    command.signal('SIGINT')
    expect((await command.ended).code).toBe(130)
  })
})

describe('infer --show', () => {
  test('mosquitto prints a line that returns the answer when a shell runs it', async () => {
    const shown = await inferwire([
      'infer',
      'iris',
      '-d',
      BODY,
      '--show',
      'mosquitto',
      '--client',
      'cam7',
      ...at,
    ])
    expect(shown.stdout).toMatch(/^mosquitto_rr -h 127\.0\.0\.1 .* -e infer\/reply\/cam7\/iris\/predict /)
    const answer = await shell(shown.stdout)
    expect(answer).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(answer.stdout)).toHaveProperty('predictions')
  })

  test.each([
    ['-V', '3.1.1'],
    ['-V', '5'],
  ])('mosquitto with %s %s prints a line that works with a body from a file', async (...version) => {
    const file = join(folder, "it's a request.json")
    writeFileSync(file, BODY)
    const shown = await inferwire(['infer', 'iris', '-f', file, '--show', 'mosquitto', ...version, ...at])
    const answer = await shell(shown.stdout)
    expect(answer).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(answer.stdout)).toHaveProperty('predictions')
  })

  test('mosquitto prints a line that works without a body, if the operation has none', async () => {
    const shown = await inferwire(['infer', 'iris', '--operation', 'ready', '--show', 'mosquitto', ...at])
    const answer = await shell(shown.stdout)
    expect(answer).toMatchObject({ code: 0, stderr: '' })
    expect(answer.stdout).not.toContain('error')
  })

  test('curl prints a line that returns the answer when a shell runs it', async () => {
    const shown = await inferwire(['infer', 'iris', '-d', BODY, '--show', 'curl', '--url', modelServer.url])
    const answer = await shell(shown.stdout)
    expect(answer).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(answer.stdout)).toHaveProperty('predictions')
  })

  test("curl uses the protocol in the model's card if the body does not indicate one", async () => {
    const argv = [
      'infer',
      'iris',
      '--operation',
      'metadata',
      '--show',
      'curl',
      '--url',
      modelServer.url,
      ...at,
    ]
    const answer = await shell((await inferwire(argv)).stdout)
    expect(JSON.parse(answer.stdout)).toMatchObject({ name: 'iris' })
  })

  test('curl prints a placeholder for the server and suggests --url if no server is given', async () => {
    const { stdout, stderr } = await inferwire(['infer', 'iris', '-d', BODY, '--show', 'curl'])
    expect(stdout).toContain('http://MODEL_SERVER/v1/models/iris:predict')
    expect(stderr).toContain('--url')
  })
})

describe('models', () => {
  test('ls prints a plain table', async () => {
    const { code, stdout } = await inferwire(['models', 'ls', ...at])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^NAME +STATE +PROTOCOLS +OPERATIONS +DEFAULT\n/)
    expect(stdout).toMatch(/^iris +online +v2,v1 +/m)
  })

  test('ls -o name and ls -o json print machine-readable output', async () => {
    const names = (await inferwire(['models', 'ls', '-o', 'name', ...at])).stdout.split('\n')
    expect(names).toContain('iris')
    const cards = JSON.parse((await inferwire(['models', 'ls', '-o', 'json', ...at])).stdout) as {
      name: string
    }[]
    expect(cards.map(({ name }) => name)).toEqual(expect.arrayContaining(['iris', 'broken']))
  })

  test('ls reports an invalid card and lists the others', async () => {
    const publisher = await TestClient.connect(broker.url)
    const retain = (topic: string, text: string) => publisher.publish(topic, text, undefined, true)
    const garbage = {
      x: '{"name":"x","operations":[]}',
      y: '{"name":"y\\u001b[2J"',
      z: 'null',
      'u\u00fc': '5',
    }
    for (const [name, text] of Object.entries(garbage)) await retain(`infer/models/${name}`, text)
    try {
      for (const output of [[], ['-o', 'wide'], ['-o', 'name'], ['-o', 'json']]) {
        const { code, stdout, stderr } = await inferwire(['models', 'ls', ...output, ...at])
        expect(code).toBe(0)
        expect(stdout).toContain('iris')
        for (const name of Object.keys(garbage)) {
          expect(stderr).toContain(`warning: "infer/models/${name}" is not a model card: `)
        }
        expect(stderr).not.toContain('\u001b')
      }
      const own = await inferwire(['infer', 'iris', '-d', BODY, '-V', '3.1.1', ...at])
      expect({ code: own.code, stderr: own.stderr }).toEqual({ code: 0, stderr: '' })
      expect((await inferwire(['models', 'describe', 'iris', ...at])).code).toBe(0)
      const { code, stderr } = await inferwire(['models', 'describe', 'x', ...at])
      expect(stderr).toMatch(
        /^error: the retained message on "infer\/models\/x" is not a model card: .*\n {7}\S/,
      )
      expect(code).toBe(1)
    } finally {
      for (const name of Object.keys(garbage)) await retain(`infer/models/${name}`, '')
      await publisher.close()
    }
  })

  test('ls without models prints nothing on standard output, and a hint on standard error', async () => {
    const { code, stdout, stderr } = await inferwire(['models', 'ls', '--root', 'elsewhere', ...at])
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(stderr).toMatch(/inferwire connect/)
  })

  test('describe suggests the most similar model', async () => {
    expect((await inferwire(['models', 'describe', 'iris', ...at])).stdout).toMatch(
      /^Request topic: +infer\/request/m,
    )
    const { code, stderr } = await inferwire(['models', 'describe', 'iriss', ...at])
    expect(stderr).toMatch(/Did you mean "iris"/)
    expect(code).toBe(1)
  })
})

describe('a broker with users', () => {
  let secured: Mosquitto
  let edge: RunningCommand
  let login: string[]

  beforeAll(async () => {
    secured = await startMosquitto({
      users: { inferwire: 'c-secret', 'line-3': 'l-secret' },
      acl: aclText(),
    })
    writeFileSync(join(folder, 'connector-password'), 'c-secret\n')
    writeFileSync(join(folder, 'line-password'), 'l-secret\n')
    edge = startInferwire([
      'connect',
      '--broker',
      secured.url,
      '-u',
      'inferwire',
      '--password-file',
      join(folder, 'connector-password'),
      '--model',
      `iris=${modelServer.url},protocolVersion=v1`,
      '--admin-port',
      '0',
      '--log-format',
      'json',
    ])
    await edge.said(/"event":"session_ready"/)
    login = ['-p', String(secured.port), '-u', 'line-3']
  })

  afterAll(async () => {
    edge?.signal('SIGTERM')
    await edge?.ended
    await secured?.stop()
  })

  test.each([
    ['-P', () => ['-P', 'l-secret']],
    ['--password-file', () => ['--password-file', join(folder, 'line-password')]],
  ])('accepts a user whose password is given with %s', async (_name, password) => {
    const { code, stdout } = await inferwire(['infer', 'iris', '-d', BODY, ...login, ...password()])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toHaveProperty('predictions')
  })

  test.each([
    ['a wrong password', ['-P', 'wrong']],
    ['an unknown user', ['-u', 'unknown']],
    ["another user's topics", ['-P', 'l-secret', '--client', 'line-4']],
  ])('refuses %s, and infer exits with 77', async (_name, argv) => {
    const { code, stderr } = await inferwire(['infer', 'iris', '-d', BODY, ...login, ...argv])
    expect(stderr).toMatch(/not_authorized[\s\S]*ACL/)
    expect(stderr).not.toMatch(/secret/)
    expect(code).toBe(77)
  })

  test('--show mosquitto shows no password, and the printed line returns the answer', async () => {
    const password = ['--password-file', join(folder, 'line-password')]
    const shown = await inferwire(['infer', 'iris', '-d', BODY, '--show', 'mosquitto', ...login, ...password])
    expect(shown.stdout + shown.stderr).not.toContain('l-secret')
    const answer = await shell(shown.stdout)
    expect(JSON.parse(answer.stdout)).toHaveProperty('predictions')
  })

  test('the connector does not print its password', () => {
    expect(edge.stderr()).not.toContain('c-secret')
  })
})
