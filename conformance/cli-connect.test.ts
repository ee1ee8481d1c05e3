// `inferwire connect` as a process, and the commands that need no broker.
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mosquittoRr } from './fixtures/foreign-clients.ts'
import { inferwire, startInferwire } from './fixtures/inferwire.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { tempFolder } from './fixtures/temp-folder.ts'

const folder = tempFolder('cli-connect')
let broker: Mosquitto
let server: Server
let url: string
// Calls that the model server holds back until a test lets them go.
const held: (() => void)[] = []

beforeAll(async () => {
  broker = await startMosquitto()
  server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    const answer = (): void => void response.end('{"predictions":[1]}')
    if (request.url === '/v1/models/slow:predict') held.push(answer)
    else answer()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterAll(async () => {
  server?.closeAllConnections()
  server?.close()
  await broker?.stop()
})

let connectors = 0
function connect(argv: readonly string[], env: Record<string, string> = {}) {
  connectors += 1
  return startInferwire(
    [
      'connect',
      '--broker',
      broker.url,
      '--name',
      `c${connectors}`,
      '--log-format',
      'json',
      '--admin-port',
      '0',
      ...argv,
    ],
    { env },
  )
}

function ask(model: string, root: string, timeoutSeconds = 10): ReturnType<typeof mosquittoRr> {
  const topic = (kind: string): string => `${root}/${kind}/me/${model}/predict`
  return mosquittoRr([
    '-h',
    '127.0.0.1',
    '-p',
    String(broker.port),
    '-V',
    '5',
    '-q',
    '1',
    '-W',
    String(timeoutSeconds),
    '-t',
    topic('request'),
    '-e',
    topic('reply'),
    '-m',
    '{"instances":[[1]]}',
  ])
}

describe('stopping', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s answers what is under way, then ends with 0',
    async (signal) => {
      const root = `stop-${signal}`
      const connector = connect(['--root', root, '--model', `slow=${url},protocolVersion=v1`])
      await connector.said(/session_ready/)
      const arrived = new Promise((resolve) => server.once('request', resolve))
      const answer = ask('slow', root)
      await arrived
      connector.signal(signal)
      await connector.said(/"event":"draining"/)
      held.shift()!()
      expect((await answer).stdout.toString()).toContain('predictions')
      const { code, stdout } = await connector.ended
      expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    },
  )

  test('a second signal ends it at once', async () => {
    const connector = connect(['--root', 'twice', '--model', `slow=${url},protocolVersion=v1`])
    await connector.said(/session_ready/)
    const arrived = new Promise((resolve) => server.once('request', resolve))
    const answer = ask('slow', 'twice', 1)
    await arrived
    connector.signal('SIGTERM')
    await connector.said(/"event":"draining"/)
    connector.signal('SIGTERM')
    expect((await connector.ended).code).toBe(143)
    held.shift()!()
    await answer
  })

  test('while the broker is away it stops all the same', async () => {
    const connector = startInferwire([
      'connect',
      '--broker',
      'mqtt://127.0.0.1:1',
      '--model',
      `a=${url}`,
      '--admin-port',
      '0',
    ])
    await connector.said(/No session with/)
    connector.signal('SIGTERM')
    expect((await connector.ended).code).toBe(0)
  })
})

describe('reloading', () => {
  test.each([
    ['SIGHUP', true],
    ['a changed file', false],
  ])('%s exposes new models, and a mistake keeps the old ones', async (name, isBySignal) => {
    const file = join(folder, `${isBySignal}.yaml`)
    const root = `reload-${isBySignal}`
    const config = (models: object): string => JSON.stringify({ root, models })
    writeFileSync(file, config({ first: { url, protocolVersion: 'v1' } }))
    const connector = connect(['-c', file])
    await connector.said(/session_ready/)

    writeFileSync(
      file,
      config({ first: { url, protocolVersion: 'v1' }, second: { url, protocolVersion: 'v1' } }),
    )
    if (isBySignal) connector.signal('SIGHUP')
    await connector.said(/"event":"model_exposed","model":"second"/)
    expect((await ask('second', root)).stdout.toString()).toContain('predictions')

    writeFileSync(file, config({ first: { url: 'nowhere' } }))
    if (isBySignal) connector.signal('SIGHUP')
    await connector.said(/"event":"reload_refused".*models\.first\.url/)
    expect((await ask('second', root)).stdout.toString()).toContain('predictions')

    connector.signal('SIGTERM')
    expect((await connector.ended).code, name).toBe(0)
  })
})

describe('a fault', () => {
  test.each([
    ['an exception', `throw new Error('boom')`],
    ['a rejection', `Promise.reject(new Error('boom'))`],
  ])('%s that nobody caught is logged and ends it with 70', async (_name, fault) => {
    // A module that is loaded first plants a fault for a signal that the connector does not use.
    const module = `process.on('SIGUSR2',()=>{${fault}})`
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(module)}` }
    const connector = connect(['--root', 'fault', '--model', `a=${url},protocolVersion=v1`], env)
    await connector.said(/session_ready/)
    connector.signal('SIGUSR2')
    const { code, stderr } = await connector.ended
    expect(stderr).toMatch(/"level":"fatal".*"event":"fault".*boom/)
    expect(code).toBe(70)
  })
})

describe('starting', () => {
  test('file, then environment, then options: the later one wins', async () => {
    const file = join(folder, 'order.yaml')
    writeFileSync(
      file,
      JSON.stringify({ root: 'from-file', name: 'from-file', models: { a: { url, protocolVersion: 'v1' } } }),
    )
    const connector = connect(['-c', file, '--root', 'from-flag'], { INFERWIRE_ROOT: 'from-env' })
    await connector.said(/subscribed to from-flag\/request/)
    connector.signal('SIGTERM')
    await connector.ended
  })

  test('every mistake of a configuration at once, with its place, and 78', async () => {
    const file = join(folder, 'wrong.yaml')
    writeFileSync(file, 'brocker: {}\nmodels:\n  iris:\n    url: nowhere\n    protocolVersion: V2\n')
    const { code, stdout, stderr } = await inferwire(['connect', '-c', file])
    expect(stderr).toMatch(/wrong\.yaml:1:1: brocker: .*did you mean "broker"/)
    expect(stderr).toMatch(/wrong\.yaml:4:\d+: models\.iris\.url/)
    expect(stderr).toMatch(/wrong\.yaml:5:\d+: models\.iris\.protocolVersion/)
    expect({ code, stdout }).toEqual({ code: 78, stdout: '' })
  })

  test.each([
    [['connect', '-c', '/does/not/exist.yaml'], /cannot be read/],
    [['connect', '--model', 'iris'], /NAME=URL/],
    [['connect', '--broker', 'http://a'], /mqtt/],
  ])('%j ends with 78', async (argv, words) => {
    const { code, stderr } = await inferwire(argv)
    expect(stderr).toMatch(words)
    expect(code).toBe(78)
  })

  test('a taken admin port ends with 69 and says which option to use', async () => {
    const port = (server.address() as AddressInfo).port
    const { code, stderr } = await inferwire(['connect', '--model', `a=${url}`, '--admin-port', String(port)])
    expect(stderr).toMatch(new RegExp(`:${port}: another process is using the port\\n {7}.*--admin-port`))
    expect(code).toBe(69)
  })

  test('the admin endpoints answer where the log says', async () => {
    const connector = connect(['--root', 'admin', '--model', `a=${url},protocolVersion=v1`])
    await connector.said(/session_ready/)
    const { url: adminUrl } = JSON.parse(
      connector
        .stderr()
        .split('\n')
        .find((line) => line.includes('admin_listening'))!,
    ) as { url: string }
    expect((await fetch(`${adminUrl}/readyz`)).status).toBe(200)
    connector.signal('SIGTERM')
    await connector.ended
  })
})

describe('commands without a broker', () => {
  test('config check, print and schema', async () => {
    const file = join(folder, 'good.yaml')
    writeFileSync(file, JSON.stringify({ models: { iris: { url } } }))
    expect(await inferwire(['config', 'check', '-c', file])).toMatchObject({
      code: 0,
      stdout: /1 model \(iris\)/,
    })
    const env = { INFERWIRE_BROKER_USERNAME: 'ann', INFERWIRE_BROKER_PASSWORD: 'secret' }
    const printed = await inferwire(['config', 'print', '-c', file], { env })
    expect(printed.stdout).toMatch(/username: ann\n/)
    expect(printed.stdout).not.toContain('secret')
    const schema = JSON.parse((await inferwire(['config', 'schema'])).stdout) as { properties: object }
    expect(Object.keys(schema.properties)).toEqual(expect.arrayContaining(['broker', 'models']))
    writeFileSync(file, 'root: a/+')
    expect((await inferwire(['config', 'check', '-c', file])).code).toBe(78)
  })

  test('topics explain says where a request goes, and 65 when it goes nowhere', async () => {
    const file = join(folder, 'topics.yaml')
    writeFileSync(file, JSON.stringify({ root: 'plant', models: { iris: { url, protocolVersion: 'v1' } } }))
    const good = await inferwire(['topics', 'explain', 'plant/request/cam7/iris/predict/42', '-c', file])
    expect(good.stdout).toMatch(/Reply topic: +plant\/reply\/cam7\/iris\/predict\/42\n/)
    expect(good.stdout).toContain(`POST ${url}/v1/models/iris:predict`)
    const bad = await inferwire(['topics', 'explain', 'plant/request/cam7/irs', '-c', file, '-o', 'json'])
    expect(JSON.parse(bad.stdout)).toMatchObject({ mistakes: [expect.stringContaining('"iris"')] })
    expect({ good: good.code, bad: bad.code }).toEqual({ good: 0, bad: 65 })
  })

  test('help is data, leads with examples, and a bare -h is help too', async () => {
    for (const argv of [
      ['--help'],
      ['infer', '--help'],
      ['infer', '-h'],
      ['help', 'infer'],
      ['connect', '-h'],
    ]) {
      const { code, stdout, stderr } = await inferwire(argv)
      expect({ argv, code, stderr }).toEqual({ argv, code: 0, stderr: '' })
      expect(stdout, argv.join(' ')).toMatch(/^Examples:\n/)
    }
  })

  test.each([
    [['conect'], /Did you mean connect/],
    [['models', 'lss'], /Did you mean ls/],
    [['connect', '--modle', 'a=b'], /Did you mean --model/],
    [['connect', 'extra'], /too many arguments/],
    [['completion', 'tcsh'], /bash, zsh, fish/],
    [['infer'], /missing required argument/],
  ])('%j ends with 64 and says what was meant', async (argv, words) => {
    const { code, stdout, stderr } = await inferwire(argv)
    expect(stderr).toMatch(words)
    expect(stderr).toMatch(/Help: inferwire.*--help\n$/)
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
  })

  test('without a command it shows help on standard error, and ends with 64', async () => {
    const { code, stdout, stderr } = await inferwire([])
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
    expect(stderr).toContain('inferwire dev')
  })

  test('version and --version say the same', async () => {
    const manifest = new URL('../packages/cli/package.json', import.meta.url)
    const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }
    expect((await inferwire(['version'])).stdout).toBe(`${version}\n`)
    expect((await inferwire(['--version'])).stdout).toBe(`${version}\n`)
  })
})
