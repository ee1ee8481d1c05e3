// Tests `inferwire connect` as a process, and the commands that need no broker.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mosquittoRr } from './fixtures/foreign-clients.ts'
import { inferwire, startInferwire } from './fixtures/inferwire.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { Gate, json } from './rig/answers.ts'
import { FakeModelServer } from './rig/model-server.ts'

const folder = tempFolder('cli-connect')
let broker: Mosquitto
let server: FakeModelServer
let url: string
const gate = new Gate()

beforeAll(async () => {
  broker = await startMosquitto()
  server = await FakeModelServer.start({ answer: gate.hold(json(200, { predictions: [1] }), 'slow') })
  url = server.url
})

afterAll(async () => {
  await server?.stop()
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
    'after %s, the connector answers the requests in flight, then exits with 0',
    async (signal) => {
      const root = `stop-${signal}`
      const connector = connect(['--root', root, '--model', `slow=${url},protocolVersion=v1`])
      await connector.said(/session_ready/)
      const answer = ask('slow', root)
      await expect.poll(() => gate.open, { timeout: 10_000 }).toBe(1)
      connector.signal(signal)
      await connector.said(/"event":"draining"/)
      gate.release()
      expect((await answer).stdout).toContain('predictions')
      const { code, stdout } = await connector.ended
      expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    },
  )

  test('a second signal ends the process at once', async () => {
    const connector = connect(['--root', 'twice', '--model', `slow=${url},protocolVersion=v1`])
    await connector.said(/session_ready/)
    const answer = ask('slow', 'twice', 1)
    await expect.poll(() => gate.open, { timeout: 10_000 }).toBe(1)
    connector.signal('SIGTERM')
    await connector.said(/"event":"draining"/)
    connector.signal('SIGTERM')
    expect((await connector.ended).code).toBe(143)
    gate.release()
    await answer
  })

  test('the connector stops even while the broker is unreachable', async () => {
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
  ])(
    'after %s, the connector exposes new models, or keeps its previous models if the new configuration is invalid',
    async (name, isBySignal) => {
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
      expect((await ask('second', root)).stdout).toContain('predictions')

      writeFileSync(file, config({ first: { url: 'nowhere' } }))
      if (isBySignal) connector.signal('SIGHUP')
      await connector.said(/"event":"reload_refused".*models\.first\.url/)
      expect((await ask('second', root)).stdout).toContain('predictions')

      connector.signal('SIGTERM')
      expect((await connector.ended).code, name).toBe(0)
    },
  )
})

describe('an internal error', () => {
  test.each([
    ['an exception', `throw new Error('boom')`],
    ['a rejection', `Promise.reject(new Error('boom'))`],
  ])('%s that nothing catches is logged, and results in exit code 70', async (_name, fault) => {
    // A preloaded module throws on a signal that the connector does not use.
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
  test('options override the environment, and the environment overrides the file', async () => {
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

  test('reports all mistakes of a configuration with their paths, and exits with 78', async () => {
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
  ])('%j exits with 78', async (argv, words) => {
    const { code, stderr } = await inferwire(argv)
    expect(stderr).toMatch(words)
    expect(code).toBe(78)
  })

  test('an admin port that is already in use results in exit code 69 and an error that names the option', async () => {
    const { port } = server
    const { code, stderr } = await inferwire(['connect', '--model', `a=${url}`, '--admin-port', String(port)])
    expect(stderr).toMatch(new RegExp(`:${port}: another process is using the port\\n {7}.*--admin-port`))
    expect(code).toBe(69)
  })

  test('the admin endpoints answer at the logged address', async () => {
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
  test('config check, config print and config schema handle a configuration file', async () => {
    const file = join(folder, 'good.yaml')
    writeFileSync(file, JSON.stringify({ models: { iris: { url } } }))
    expect(await inferwire(['config', 'check', '-c', file])).toMatchObject({
      code: 0,
      stdout: /1 model \(iris\)/,
    })
    writeFileSync(file, JSON.stringify({ models: { iris: { url } }, policy: { allow: [] } }))
    expect(await inferwire(['config', 'check', '-c', file])).toMatchObject({
      code: 0,
      stderr: 'warning: policy.allow: is empty: no client may use any model\n',
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

  test('topics explain prints the route of a request, and exits with 65 if there is no route', async () => {
    const file = join(folder, 'topics.yaml')
    writeFileSync(file, JSON.stringify({ root: 'plant', models: { iris: { url, protocolVersion: 'v1' } } }))
    const good = await inferwire(['topics', 'explain', 'plant/request/cam7/iris/predict/42', '-c', file])
    expect(good.stdout).toMatch(/Reply topic: +plant\/reply\/cam7\/iris\/predict\/42\n/)
    expect(good.stdout).toContain(`POST ${url}/v1/models/iris:predict`)
    const bad = await inferwire(['topics', 'explain', 'plant/request/cam7/irs', '-c', file, '-o', 'json'])
    expect(JSON.parse(bad.stdout)).toMatchObject({ mistakes: [expect.stringContaining('"iris"')] })
    expect({ good: good.code, bad: bad.code }).toEqual({ good: 0, bad: 65 })
  })

  test('help is printed on standard output and begins with examples, even with -h', async () => {
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
    [['nope', '--help'], /^error: unknown command 'nope'/],
    [['help', 'nope'], /^error: unknown command 'nope'/],
    [['connect', '--modle', 'a=b'], /Did you mean --model/],
    [['connect', 'extra'], /too many arguments/],
    [['completion', 'tcsh'], /bash, zsh, fish/],
    [['infer'], /missing required argument/],
  ])('%j exits with 64 and suggests a correction', async (argv, words) => {
    const { code, stdout, stderr } = await inferwire(argv)
    expect(stderr).toMatch(words)
    expect(stderr).toMatch(/Help: inferwire.*--help\n$/)
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
  })

  test('inferwire without a command prints help on standard error, and exits with 64', async () => {
    const { code, stdout, stderr } = await inferwire([])
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
    expect(stderr).toContain('inferwire dev')
  })

  test('version and --version print the same output', async () => {
    const manifest = new URL('../packages/cli/package.json', import.meta.url)
    const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }
    expect((await inferwire(['version'])).stdout).toBe(`${version}\n`)
    expect((await inferwire(['--version'])).stdout).toBe(`${version}\n`)
  })
})
