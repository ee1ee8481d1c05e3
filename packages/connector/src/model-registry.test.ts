// Adds, changes and removes models, with real model servers.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { TopicSpace, type ModelCard, type OperationName, type Problem } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ByteBudget } from './admission/index.ts'
import { ConfigError, loadConfig, type ConfigInput, type ModelConfig } from './config/index.ts'
import { ModelRegistry } from './model-registry.ts'
import { ModelTable } from './route/index.ts'
import { createLog, ProblemLog, Telemetry } from './telemetry/index.ts'

/** A model server whose dialects can change while it runs. */
interface ModelServer {
  readonly url: string
  /** The paths of the metadata requests so far. */
  readonly asked: string[]
  v1: (response: ServerResponse) => void
  v2: (response: ServerResponse) => void
  /** Answers inference requests. */
  post: (response: ServerResponse) => void
}

const json =
  (status: number, body: unknown) =>
  (response: ServerResponse): void =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
const notFound = json(404, { detail: 'Not Found' })
const good = json(200, { name: 'iris', ready: true, predictions: [1] })
const loading = json(503, { error: 'loading' })
const reset = (response: ServerResponse): void => void response.socket!.resetAndDestroy()

const closing: (() => unknown)[] = []
let registry: ModelRegistry
let table: ModelTable
let telemetry: Telemetry
let cards: Map<string, ModelCard>
let lines: Record<string, unknown>[]

beforeEach(() => {
  table = new ModelTable()
  telemetry = new Telemetry()
  cards = new Map()
  lines = []
  const sink = { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) }
  const log = createLog({ level: 'debug', format: 'json' }, sink)
  registry = new ModelRegistry({
    topics: new TopicSpace('infer'),
    table,
    budget: new ByteBudget(1_000_000),
    telemetry,
    problemLog: new ProblemLog(log),
    log,
    cardChanged: (name, card) => (card === undefined ? cards.delete(name) : cards.set(name, card)),
  })
  closing.push(() => registry.close())
})

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

async function startServer(port = 0): Promise<ModelServer> {
  const model: ModelServer = { url: '', asked: [], v1: good, v2: notFound, post: good }
  const server = createServer((request: IncomingMessage, response) => {
    request.resume().on('end', () => {
      if (request.method === 'POST') return model.post(response)
      model.asked.push(request.url!)
      return (request.url!.startsWith('/v2/') ? model.v2 : model.v1)(response)
    })
  })
  const url = await listen(server, port)
  return Object.assign(model, { url })
}

async function listen(server: Server, port: number): Promise<string> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

type ModelInput = NonNullable<ConfigInput['models']>[string]

const configOf = (model: ModelInput): ModelConfig =>
  loadConfig({ env: {}, flags: { models: { iris: model } } }).models['iris']!
// Simulates a file that was deleted after the configuration was read.
const unopenable = (config: ModelConfig): ModelConfig => ({
  ...config,
  tls: { ...config.tls, caFile: '/nonexistent/ca.pem' },
})

async function ask(name: string, operation: OperationName = 'predict'): Promise<number | string> {
  const { endpoint } = table.find(name).operations.get(operation)!
  const deadline = { atMs: performance.now() + 10_000, problem: undefined, waiting: undefined }
  return endpoint
    .call({
      body: Buffer.from('{}'),
      contentType: 'application/json',
      inferenceHeaderContentLength: undefined,
      headers: [],
      deadline,
      emit: undefined,
    })
    .then(
      ({ status }) => status,
      (error: unknown) => (error as Problem).code,
    )
}

const events = (): unknown[] => lines.map(({ event }) => event)
const refusals = (): number => events().filter((event) => event === 'model_not_ready').length
const warnings = (): number =>
  lines.filter(({ event, level }) => event === 'model_not_ready' && level === 'warn').length

test('sets and removes a single model, including its card, its table entry and its figures', async () => {
  const server = await startServer()
  expect(registry.set('iris', configOf({ url: server.url, versions: ['3'] }))).toBeUndefined()
  await registry.allExposed()
  expect([...cards.keys()]).toEqual(['iris', 'iris@3'])
  expect(await ask('iris')).toBe(200)
  registry.remove('iris')
  registry.remove('unheard-of')
  expect([...cards.keys(), ...registry.cards, ...telemetry.all, ...telemetry.upstreams]).toEqual([])
  expect(() => table.find('iris')).toThrow('is not exposed here')
})

test('a removed model finishes its requests before its figures are dropped', async () => {
  const server = await startServer()
  let answer!: () => void
  const reached = new Promise<void>((resolve) => {
    server.post = (response) => {
      answer = () => good(response)
      resolve()
    }
  })
  registry.set('iris', configOf({ url: server.url, protocolVersion: 'v1' }))
  const model = table.find('iris')
  const deadline = { atMs: Infinity, problem: undefined, waiting: undefined }
  expect(model.gate.enter('cam7', 2, deadline)).toBeUndefined()
  const outcome = ask('iris')
  await reached
  registry.remove('iris')
  expect([...telemetry.upstreams]).toHaveLength(1)
  answer()
  expect(await outcome).toBe(200)
  model.gate.leave(2)
  await expect.poll(() => [...telemetry.upstreams, ...telemetry.all]).toEqual([])
})

test('a model that is added again while its last request runs keeps its figures', async () => {
  const server = await startServer()
  const config = configOf({ url: server.url, protocolVersion: 'v1' })
  registry.set('iris', config)
  const { gate } = table.find('iris')
  void gate.enter('cam7', 2, { atMs: Infinity, problem: undefined, waiting: undefined })
  registry.remove('iris')
  registry.set('iris', config)
  const kept = telemetry.figures('iris', 'predict')
  gate.leave(2)
  // Removing any model also closes the other removed models that are idle.
  registry.set('other', config)
  registry.remove('other')
  expect(telemetry.figures('iris', 'predict')).toBe(kept)
})

test('keeps the figures of a version while the previous configuration of the model still serves it', async () => {
  const server = await startServer()
  registry.set('iris', configOf({ url: server.url, versions: ['2'] }))
  await registry.allExposed()
  const kept = telemetry.figures('iris@2', 'infer')
  server.v1 = loading
  registry.set('iris', configOf({ url: server.url, versions: ['2'], timeoutMs: 7_000 }))
  registry.set('iris', configOf({ url: server.url }))
  expect(table.names).toContain('iris@2')
  expect(telemetry.figures('iris@2', 'infer')).toBe(kept)
  server.v1 = good
  await registry.allExposed()
  expect([...telemetry.all].map(({ model }) => model)).not.toContain('iris@2')
})

test('a rejected configuration leaves no figures for its models', async () => {
  const config = configOf({ url: (await startServer()).url, protocolVersion: 'v1' })
  registry.update({ a: config })
  expect(() => registry.update({ a: { ...config, timeoutMs: 7 }, b: config, c: unopenable(config) })).toThrow(
    ConfigError,
  )
  expect([...telemetry.upstreams].map(({ model }) => model)).toEqual(['a'])
})

test('allExposed does not wait for a model that is replaced or removed before it was exposed', async () => {
  const server = await startServer()
  server.v1 = loading
  const config = configOf({ url: server.url })
  registry.set('iris', config)
  registry.set('digits', config)
  let isDone = false
  const exposed = registry.allExposed().then(() => (isDone = true))
  registry.remove('digits')
  registry.set('iris', configOf({ url: server.url, timeoutMs: 7_000 }))
  await expect.poll(refusals).toBeGreaterThan(0)
  expect(isDone).toBe(false)
  server.v1 = good
  await exposed
  expect(table.find('iris').timeoutMs).toBe(7_000)
})

test('returns a mistake if a file cannot be read, and leaves the model unchanged', async () => {
  const server = await startServer()
  const config = configOf({ url: server.url, protocolVersion: 'v1' })
  registry.set('iris', config)
  expect(registry.set('iris', unopenable(config))).toMatchObject({
    path: 'models.iris',
    message: expect.stringContaining('/nonexistent/ca.pem') as string,
  })
  expect(await ask('iris')).toBe(200)
})

test('applies a configuration completely or not at all, and does not change models set individually', async () => {
  const config = configOf({ url: (await startServer()).url, protocolVersion: 'v1' })
  registry.set('found', config)
  registry.update({ a: config, b: config })
  expect(() => registry.update({ a: { ...config, timeoutMs: 7 }, c: unopenable(config) })).toThrow(
    ConfigError,
  )
  expect(table.names).toEqual(['a', 'b', 'found'])
  expect(table.find('a').timeoutMs).toBe(30_000)
  registry.update({ b: config })
  expect(table.names).toEqual(['b', 'found'])
})

test('requestBytesMax is the largest limit of the current models', async () => {
  const { url } = await startServer()
  expect(registry.requestBytesMax).toBe(0)
  registry.set('small', configOf({ url, protocolVersion: 'v1', limits: { requestBytesMax: 10 } }))
  registry.set('large', configOf({ url, protocolVersion: 'v1', limits: { requestBytesMax: 99 } }))
  expect(registry.requestBytesMax).toBe(99)
  registry.remove('large')
  expect(registry.requestBytesMax).toBe(10)
})

test('detects a dialect soon after its first query failed with a temporary error', async () => {
  const server = await startServer()
  server.v2 = loading
  registry.set('iris', configOf({ url: server.url }))
  await registry.allExposed()
  expect(cards.get('iris')).toMatchObject({ protocol_versions: ['v1'], default_operation: 'predict' })
  const running = table.find('iris').gate
  server.v2 = json(200, { name: 'iris', inputs: [{ name: 'X', datatype: 'FP32', shape: [4] }] })
  await expect
    .poll(() => cards.get('iris'), { timeout: 5_000 })
    .toMatchObject({ protocol_versions: ['v2', 'v1'], default_operation: 'infer', inputs: [{ name: 'X' }] })
  expect(await ask('iris', 'infer')).toBe(200)
  expect(table.find('iris').gate).toBe(running)
})

test('updates card and operations when a server returns with a different model', async () => {
  const server = await startServer()
  registry.set('iris', configOf({ url: server.url, retry: { attemptsMax: 1 } }))
  await registry.allExposed()
  server.post = reset
  expect(await ask('iris')).toBe('upstream_unreachable')
  server.v2 = good
  server.post = good
  expect(await ask('iris')).toBe(200)
  await expect.poll(() => cards.get('iris')?.protocol_versions, { timeout: 5_000 }).toEqual(['v2', 'v1'])
  expect(table.find('iris').defaultOperation.name).toBe('infer')
  expect(events()).toContain('model_changed')
})

test('queries the server again even if a retry succeeded after the failure', async () => {
  const server = await startServer()
  registry.set('iris', configOf({ url: server.url }))
  await registry.allExposed()
  // Ten requests earn one retry.
  for (let count = 0; count < 10; count += 1) expect(await ask('iris')).toBe(200)
  server.v2 = good
  server.post = (response) => {
    server.post = good
    reset(response)
  }
  expect(await ask('iris')).toBe(200)
  await expect.poll(() => cards.get('iris')?.protocol_versions, { timeout: 5_000 }).toEqual(['v2', 'v1'])
})

test('with a configured dialect, queries an unreachable server once, and again after its first answer', async () => {
  const server = await startServer()
  server.v1 = loading
  registry.set('iris', configOf({ url: server.url, protocolVersion: 'v1', retry: { attemptsMax: 1 } }))
  await expect.poll(events).toContain('model_not_ready')
  expect(lines.find(({ event }) => event === 'model_not_ready')).not.toHaveProperty('retryWithinMs')
  server.post = loading
  expect(await ask('iris')).toBe('model_not_ready')
  expect(server.asked).toEqual(['/v1/models/iris'])
  server.v1 = json(200, { name: 'iris', platform: 'kserve' })
  server.post = good
  expect(await ask('iris')).toBe(200)
  await expect.poll(() => cards.get('iris')?.platform, { timeout: 5_000 }).toBe('kserve')
  expect(server.asked).toHaveLength(2)
})

test('a request for a pending model triggers a query of its server at once', async () => {
  const server = await startServer()
  server.v1 = notFound
  registry.set('iris', configOf({ url: server.url, versions: ['2'] }))
  expect(() => table.find('iris@2')).toThrow('is not ready')
  registry.set('iris', configOf({ url: server.url, versions: ['3'] }))
  expect(() => table.find('iris@2')).toThrow('is not exposed here')
  // After five queries the next pause is at least two seconds.
  await expect.poll(refusals, { timeout: 10_000 }).toBe(5)
  // The same reason is logged as a warning only once.
  expect(warnings()).toBe(1)
  server.v1 = good
  const startedAtMs = performance.now()
  expect(() => table.find('iris@3')).toThrow('is not ready')
  table.wanted('iris@3')
  await registry.allExposed()
  expect(performance.now() - startedAtMs).toBeLessThan(1_900)
  expect(await ask('iris')).toBe(200)
}, 15_000)

const tensors = (name: string) => [{ name, datatype: 'FP32', shape: [4] }]

test('the card of each version lists the tensors of that version; a missing version has no tensors, and causes a warning', async () => {
  const server = await startServer()
  server.v2 = (response) => {
    const version = /versions\/(.*)$/.exec(server.asked.at(-1)!)?.[1]
    if (version === 'v9') notFound(response)
    else json(200, { name: 'echo', inputs: tensors(`X-${version ?? 'newest'}`) })(response)
  }
  const config = configOf({ url: server.url, versions: ['v1', 'v2', 'v9'] })
  registry.set('echo', config)
  await registry.allExposed()
  expect(['echo', 'echo@v1', 'echo@v2', 'echo@v9'].map((name) => cards.get(name)!.inputs)).toEqual([
    tensors('X-newest'),
    tensors('X-v1'),
    tensors('X-v2'),
    undefined,
  ])
  expect(cards.get('echo@v9')).not.toHaveProperty('example')
  expect(await ask('echo@v9', 'infer')).toBe(200)
  const warnings = lines.filter(({ event }) => event === 'version_missing')
  expect(warnings).toMatchObject([
    { level: 'warn', model: 'echo@v9', detail: expect.stringMatching(/^404 on .*\/versions\/v9$/) as string },
  ])
})

test('the card of a model with 70 inputs has neither an example nor a truncated list of inputs', async () => {
  const server = await startServer()
  server.v2 = json(200, { inputs: Array.from({ length: 70 }, (_, index) => tensors(`x${index}`)[0]) })
  registry.set('wide', configOf({ url: server.url }))
  await registry.allExposed()
  expect(cards.get('wide')).toMatchObject({ protocol_versions: ['v2', 'v1'], default_operation: 'infer' })
  for (const member of ['inputs', 'example']) expect(cards.get('wide')).not.toHaveProperty(member)
})

// Triton does not decode percent-encoded paths.
test.each(['na+me', 'na@me', "a,b;c='d'"])(
  "exposes the server's model %s under another name, and logs the path as sent",
  async (as) => {
    const server = await startServer()
    server.v2 = (response) => (server.asked.at(-1) === `/v2/models/${as}` ? good : notFound)(response)
    server.v1 = notFound
    const inPath = { url: server.url, protocolVersion: 'v2', modelName: `${as}/x` } as const
    expect(() => configOf(inPath)).toThrow(ConfigError)
    registry.set('iris', configOf({ url: server.url, modelName: as }))
    await registry.allExposed()
    expect(cards.get('iris')).toMatchObject({ name: 'iris', protocol_versions: ['v2'] })
    expect(server.asked).toContain(`/v1/models/${as}`)
    server.v2 = notFound
    registry.set('gone', configOf({ url: server.url, modelName: as }))
    await expect.poll(refusals).toBeGreaterThan(0)
    const { detail } = lines.find(({ event }) => event === 'model_not_ready')!
    expect(detail).toContain(`404 on ${server.url}/v2/models/${as} `)
  },
)

test('warns about a default operation that the model does not offer', async () => {
  const { url } = await startServer()
  registry.set('iris', configOf({ url, defaultOperation: 'infer' }))
  await registry.allExposed()
  expect(lines.find(({ event }) => event === 'default_operation_missing')).toMatchObject({
    level: 'warn',
    msg: expect.stringContaining('does not offer its configured default operation "infer"') as string,
  })
  expect(cards.get('iris')!.default_operation).toBe('predict')
})

const DISCOVERED = { traits: { queries: 'usual' }, reason: undefined } as const

test("does not send requests for the operator's model to the discovered model whose name it takes over", async () => {
  const [tenant, operator] = [await startServer(), await startServer()]
  registry.set('iris', configOf({ url: tenant.url }), DISCOVERED)
  await registry.allExposed()
  operator.v1 = loading
  operator.v2 = loading
  registry.update({ iris: configOf({ url: operator.url }) })
  expect(() => table.find('iris')).toThrow('is not ready')
  expect([...cards.keys()]).toEqual([])
  operator.v1 = good
  await registry.allExposed()
  expect(await ask('iris')).toBe(200)
  expect([...telemetry.upstreams]).toHaveLength(1)
})

test('drops the figures of a model that was withheld while a request was running', () => {
  const config = configOf({ url: 'http://127.0.0.1:1', protocolVersion: 'v1' })
  registry.set('iris', config, DISCOVERED)
  const { gate } = table.find('iris')
  void gate.enter('cam7', 2, { atMs: Infinity, problem: undefined, waiting: undefined })
  registry.withhold({ name: 'iris', config, traits: DISCOVERED.traits, condition: { state: 'not_ready' } })
  gate.leave(2)
  // Removing any model also closes the other removed models that are idle.
  registry.set('other', config)
  registry.remove('other')
  registry.remove('iris')
  expect([...telemetry.all, ...telemetry.upstreams]).toEqual([])
})

test('names the command that shows the object of a discovered model', async () => {
  const server = await startServer()
  server.v1 = loading
  server.v2 = loading
  const inspect = 'kubectl get inferenceservices.serving.kserve.io iris -n models'
  registry.set('iris.models', configOf({ url: server.url, modelName: 'other' }), { ...DISCOVERED, inspect })
  await expect.poll(() => lines.find(({ event }) => event === 'model_not_ready')?.['msg']).toMatch(inspect)
})
