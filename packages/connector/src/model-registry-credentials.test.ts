// Tests which secret a model server receives when credentials have names, and when their definitions change.
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TopicSpace } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ByteBudget } from './admission/index.ts'
import { ConfigError, loadConfig, type ModelConfig, type NamedCredentials } from './config/index.ts'
import { ModelRegistry } from './model-registry.ts'
import { ModelTable } from './route/index.ts'
import { createLog, ProblemLog, Telemetry } from './telemetry/index.ts'

let folder: string
let url: string
let received: Set<string | undefined>
let registry: ModelRegistry
let table: ModelTable
let lines: Record<string, unknown>[]
const closing: (() => unknown)[] = []

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'inferwire-registry-'))
  received = new Set()
  const server = createServer((request, response) => {
    // The queries for the card also carry the secret.
    if (request.method === 'POST') received.add(request.headers.authorization)
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"name":"iris","predictions":[1]}')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  table = new ModelTable()
  lines = []
  const sink = { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) }
  const log = createLog({ level: 'debug', format: 'json' }, sink)
  registry = new ModelRegistry({
    topics: new TopicSpace('infer'),
    table,
    budget: new ByteBudget(1_000_000),
    telemetry: new Telemetry(),
    problemLog: new ProblemLog(log),
    log,
    cardChanged: () => {},
  })
  closing.push(
    () => registry.close(),
    () => server.close(),
    () => rmSync(folder, { recursive: true, force: true }),
  )
})
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

function tokenFile(name: string, origins?: string[]): NamedCredentials[string] {
  const tokenFile = join(folder, name)
  writeFileSync(tokenFile, name)
  return { kind: 'token-file', tokenFile, ...(origins === undefined ? {} : { origins }) }
}
function modelWith(credential: ModelConfig['credential']): ModelConfig {
  const models = { iris: { url, protocolVersion: 'v1' as const } }
  return { ...loadConfig({ env: {}, flags: { models } }).models['iris']!, credential }
}
async function secretsReceivedBy(name: string): Promise<unknown[]> {
  received.clear()
  await table.find(name).defaultOperation.endpoint.call({
    body: Buffer.from('{}'),
    contentType: 'application/json',
    inferenceHeaderContentLength: undefined,
    headers: [],
    deadline: { atMs: performance.now() + 10_000, problem: undefined, waiting: undefined },
    emit: undefined,
  })
  return [...received]
}

test('a model sends the credential that it names', async () => {
  registry.update(
    { a: modelWith('one'), b: modelWith('two') },
    { one: tokenFile('one'), two: tokenFile('two') },
  )
  expect(await secretsReceivedBy('a')).toEqual(['Bearer one'])
  expect(await secretsReceivedBy('b')).toEqual(['Bearer two'])
})

test('a reload with another definition of a credential applies to all models that name it', async () => {
  const model = modelWith('gateway')
  registry.update({ a: model }, { gateway: tokenFile('one', [url]) })
  registry.set('found', model)
  registry.update({ a: model }, { gateway: tokenFile('two', [url]) })
  expect(await secretsReceivedBy('a')).toEqual(['Bearer two'])
  expect(await secretsReceivedBy('found')).toEqual(['Bearer two'])
})

test('refuses a model whose server is not among the origins of the credential', () => {
  const credentials = { gateway: tokenFile('one', ['https://gateway.example']) }
  expect(() => registry.update({ a: modelWith('gateway') }, credentials)).toThrow(ConfigError)
  registry.update({}, credentials)
  expect(registry.set('found', modelWith('gateway'))).toMatchObject({
    path: 'models.found.credential',
    message: expect.stringContaining(`"gateway" may not be sent to "${url}"`) as string,
  })
  registry.update({}, { gateway: tokenFile('one') })
  expect(registry.set('found', modelWith('gateway'))?.message).toContain(
    '"gateway" cannot be used by discovered models, because it has no origins',
  )
  expect(registry.set('other', modelWith('gatewy'))?.message).toContain('did you mean "gateway"?')
  expect(table.names).toEqual([])
})

test('after a reload that withdraws a credential, a model that was set individually is no longer exposed', () => {
  registry.update({}, { gateway: tokenFile('one', [url]) })
  registry.set('found', modelWith('gateway'))
  expect(table.names).toEqual(['found'])
  registry.update({}, { gateway: tokenFile('one', ['https://gateway.example']) })
  expect(table.names).toEqual([])
  expect(lines.find(({ event }) => event === 'model_refused')).toMatchObject({
    level: 'error',
    model: 'found',
    path: 'models.found.credential',
  })
})

test('a rejected configuration changes no credential', async () => {
  const model = modelWith('gateway')
  registry.update({ a: model }, { gateway: tokenFile('one', [url]) })
  expect(() => registry.update({ a: model, b: modelWith('missing') }, { gateway: tokenFile('two') })).toThrow(
    ConfigError,
  )
  registry.set('found', model)
  expect(await secretsReceivedBy('a')).toEqual(['Bearer one'])
  expect(await secretsReceivedBy('found')).toEqual(['Bearer one'])
})

test('a withheld model that becomes ready, but may not use its credential, leaves nothing behind', () => {
  registry.update({}, { gateway: tokenFile('one', ['https://gateway.example']) })
  const config = modelWith('gateway')
  const condition = { state: 'not_ready', reason: 'its address is missing' } as const
  registry.withhold({ name: 'found', config, traits: { queries: 'usual' }, condition })
  expect([...registry.cards.keys()]).toEqual(['found'])
  expect(registry.set('found', config)).toMatchObject({ path: 'models.found.credential' })
  registry.remove('found')
  expect([...registry.cards.keys()]).toEqual([])
  expect(() => table.find('found')).toThrow('is not exposed here')
})
