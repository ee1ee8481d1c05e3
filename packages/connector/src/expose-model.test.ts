// Tests how a configured model is exposed. The first two imports add a dialect and a transport, each in one file.
import { ECHO } from './endpoint/testing/echo-dialect.ts'
import { MemoryUpstream } from './endpoint/testing/memory-upstream.ts'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { TopicSpace } from '@inferwire/protocol'
import { afterEach, expect, test } from 'vitest'
import { ByteBudget, judgePayload } from './admission/index.ts'
import { loadConfig, type ConfigInput, type ModelConfig } from './config/index.ts'
import { CredentialStore } from './credential/index.ts'
import { exposeModel, guardServer, openServer, type Exposure, type ModelServer } from './expose-model.ts'
import { findOperation } from './route/index.ts'
import type { BoundOperation, ModelFacts } from './step.ts'
import { createLog, Telemetry } from './telemetry/index.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const log = createLog({ level: 'error', format: 'json' }, { write: () => undefined })
const telemetry = new Telemetry()
const BOTH: ModelFacts = { protocolVersions: ['v2', 'v1'], unanswered: [] }

function configOf(model: Partial<NonNullable<ConfigInput['models']>[string]> = {}): ModelConfig {
  const models = { iris: { url: 'http://127.0.0.1:1', ...model } }
  return loadConfig({ env: {}, flags: { models } }).models['iris']!
}

function serverOf(config: ModelConfig, facts = BOTH): ModelServer {
  return guardServer('iris', config, new MemoryUpstream(facts), { log, telemetry })
}

interface Exposing {
  readonly config: ModelConfig
  readonly server: ModelServer
  readonly facts: ModelFacts
  readonly before?: readonly Exposure[]
}

function expose({ config, server, facts, before = [] }: Exposing): Exposure[] {
  const budget = new ByteBudget(1_000_000)
  return exposeModel({
    name: 'iris',
    config,
    server,
    facts,
    traits: { queries: 'usual' },
    reason: undefined,
    before,
    log,
    topics: new TopicSpace('infer'),
    budget,
    telemetry,
  })
}

async function ask(operation: BoundOperation | undefined, body = '{"x":1}'): Promise<string> {
  const response = await operation!.endpoint.call({
    body: Buffer.from(body),
    contentType: 'application/json',
    inferenceHeaderContentLength: undefined,
    headers: [],
    deadline: { atMs: Infinity, problem: undefined, waiting: undefined },
    emit: undefined,
  })
  return Buffer.from(response.body).toString()
}

const asked = async ({ model }: Exposure, name: string): Promise<object> =>
  JSON.parse(await ask(model.operations.get(name))) as object

test('calls a model in the preferred dialect of the operation, but a model version in a dialect that supports versions', async () => {
  const config = configOf({ versions: ['3'] })
  const [model, version] = expose({ config, server: serverOf(config), facts: BOTH })
  expect(await asked(model!, 'infer')).toEqual({ operation: 'infer', dialect: 'v2', body: '{"x":1}' })
  expect(await asked(model!, 'predict')).toMatchObject({ operation: 'predict', dialect: 'v1' })
  expect(await asked(version!, 'infer')).toMatchObject({ dialect: 'v2', version: '3' })
  expect([...version!.model.operations.keys()]).toEqual(['infer', 'metadata', 'ready'])
  expect([model!.card.name, version!.card.name]).toEqual(['iris', 'iris@3'])
})

test('only dialects with opaque bodies accept the configured content types, which the card then lists', () => {
  const config = configOf({ contentTypes: ['image/jpeg'], versions: ['3'] })
  const [model, version] = expose({ config, server: serverOf(config), facts: BOTH })
  const accepting = [...model!.model.operations.values()].filter(({ contentTypes }) =>
    contentTypes?.has('image/jpeg'),
  )
  expect(accepting.map(({ name }) => name)).toEqual(['predict', 'explain'])
  expect([model!.card.content_types, version!.card.content_types]).toEqual([['image/jpeg'], undefined])
})

test('reports a default operation that the model does not offer; the card contains the operation used instead', () => {
  const config = configOf({ defaultOperation: 'predict' })
  const server = serverOf(config)
  const [lacking] = expose({ config, server, facts: { protocolVersions: ['v2'], unanswered: [] } })
  expect([lacking!.missingDefault, lacking!.card.default_operation]).toEqual(['predict', 'infer'])
  const [having] = expose({ config, server, facts: BOTH })
  expect([having!.missingDefault, having!.card.default_operation]).toEqual([undefined, 'predict'])
})

test("a model offers its server's optional operations, and some stream; a language model defaults to chat", () => {
  const config = configOf()
  const server = serverOf(config)
  const facts: ModelFacts = {
    protocolVersions: ['v2', 'openai'],
    unanswered: [],
    optionalOperations: ['generate', 'chat', 'embeddings'],
  }
  const [{ model, card } = undefined!] = expose({ config, server, facts })
  expect(card.operations).toEqual(['infer', 'generate', 'chat', 'embeddings', 'metadata', 'ready'])
  expect(card.default_operation).toBe('chat')
  const streaming = [...model.operations.values()].filter(({ mayEmit }) => mayEmit)
  expect(streaming.map(({ name }) => name)).toEqual(['generate', 'chat'])
  const embedding = {
    ...facts,
    protocolVersions: ['openai'] as const,
    optionalOperations: ['embeddings'] as const,
  }
  expect(expose({ config, server, facts: embedding })[0]!.card.default_operation).toBe('embeddings')
})

test('until a server has answered the query for an optional operation, the operation is not reported as unsupported', () => {
  const config = configOf({ protocolVersion: 'v2' })
  const server = serverOf(config)
  const known: ModelFacts = { protocolVersions: ['v2'], unanswered: [] }
  const [assumed] = expose({ config, server, facts: { ...known, isAssumed: true } })
  expect(() => findOperation(assumed!.model, 'generate')).toThrow('has not reported yet')
  const [unanswered] = expose({ config, server, facts: { ...known, unanswered: ['v2'] } })
  expect(() => findOperation(unanswered!.model, 'generate')).toThrow('has not reported yet')
  const [answered] = expose({ config, server, facts: known })
  expect(() => findOperation(answered!.model, 'generate')).toThrow('does not offer generate')
  expect(() => findOperation(assumed!.model, 'chat')).toThrow('does not offer chat')
  expect(assumed!.card).toEqual(answered!.card)
})

test('new facts change the operations and the card, but keep the gate with its requests', () => {
  const config = configOf()
  const server = serverOf(config)
  const before = expose({ config, server, facts: { protocolVersions: ['v1'], unanswered: ['v2'] } })
  const after = expose({ config, server, facts: BOTH, before })
  expect(after[0]!.gate).toBe(before[0]!.gate)
  expect(before[0]!.model.operations.has('infer')).toBe(false)
  expect(after[0]!.model.operations.has('infer')).toBe(true)
})

// Whether two simultaneous requests share a call. The in-memory upstream's answer cannot be divided, so requests
// that shared a call are sent again.
async function areMerged({ model }: Exposure): Promise<boolean> {
  const infer = model.operations.get('infer')!
  const before = infer.figures.batchFailovers
  await Promise.all([ask(infer, TENSOR_BODY), ask(infer, TENSOR_BODY)])
  return infer.figures.batchFailovers > before
}

const TENSOR_BODY = '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}'

test('requests are merged only after the server has described the model or the version', async () => {
  const config = configOf({ batching: { sizeMax: 8 }, protocolVersion: 'v2', versions: ['1', '2'] })
  const server = serverOf(config)
  const facts: ModelFacts = { protocolVersions: ['v2'], unanswered: [] }
  const assumed = expose({ config, server, facts: { ...facts, isAssumed: true } })
  const ofVersions = new Map([['1', { state: 'described', description: {} } as const]])
  const known = expose({ config, server, facts: { ...facts, ofVersions }, before: assumed })
  expect(await areMerged(assumed[0]!)).toBe(false)
  expect(await areMerged(known[0]!)).toBe(true)
  expect(await areMerged(known[1]!)).toBe(true)
  expect(await areMerged(known[2]!)).toBe(false)
})

test('without an operation whose requests can be merged, batching changes nothing', async () => {
  const config = configOf({ batching: 'auto', limits: { concurrency: 2 } })
  const server = serverOf(config)
  const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, 4] }]
  const facts: ModelFacts = { protocolVersions: ['v2'], unanswered: [], inputs }
  const [fixed] = expose({ config, server, facts })
  expect(fixed!.batcher!.requestsMax).toBe(2)
  const { figures } = fixed!.model.operations.get('infer')!
  const before = figures.batchSize.count
  await ask(fixed!.model.operations.get('infer'))
  expect(figures.batchSize.count).toBe(before)
  const [open] = expose({
    config,
    server,
    facts: { ...facts, inputs: [{ ...inputs[0]!, shape: [-1, 4] }] },
    before: [fixed!],
  })
  expect(open!.batcher!.requestsMax).toBe(4)
  await ask(open!.model.operations.get('infer'))
  expect(figures.batchSize.count).toBe(before + 1)
})

test('one file is enough to configure, expose and call a new dialect over HTTP', async () => {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ asked: `${request.method} ${request.url}` }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const config = configOf({ url, protocolVersion: ECHO })
  const opened = openServer(
    'iris',
    config,
    { queries: 'usual' },
    {
      definition: { kind: 'none' },
      credentials: new CredentialStore(log),
      log,
      telemetry,
    },
  )
  closing.push(() => opened.upstream.destroy())
  const facts = await opened.upstream.facts(new AbortController().signal)
  expect(facts).toMatchObject({ protocolVersions: [ECHO], unanswered: [] })
  const [{ model, card } = undefined!] = expose({ config, server: opened, facts })
  expect(card).toMatchObject({ protocol_versions: [ECHO], operations: ['infer', 'metadata'] })
  expect(await ask(model.defaultOperation)).toBe('{"asked":"POST /echo/iris"}')
  const delivery = {
    retain: false,
    payload: Buffer.from('{}'),
    payloadBytes: 2,
    propertyBytes: 0,
    isWhole: true,
    properties: { contentType: 'application/octet-stream' },
  }
  expect(() => judgePayload(delivery, model, model.defaultOperation)).toThrow('accepts application/json.')
})

test('one file is enough to expose and call a model over a new transport', async () => {
  const config = configOf({ protocolVersion: ECHO })
  const facts: ModelFacts = { protocolVersions: [ECHO], unanswered: [] }
  const server = serverOf(config, facts)
  const [{ model } = undefined!] = expose({
    config,
    server,
    facts: await server.upstream.facts(AbortSignal.timeout(1_000)),
  })
  expect(JSON.parse(await ask(model.defaultOperation))).toMatchObject({ operation: 'infer', dialect: ECHO })
})
