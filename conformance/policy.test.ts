// Tests the policy on a real Mosquitto: which client may use which operation of which model, reloads under load, rates,
// and that `inferwire policy test` decides as the connector does.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadConfig, Secret, type ConfigInput } from '@inferwire/connector'
import { aclText } from '@inferwire/mosquitto'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { inferwire } from './fixtures/inferwire.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient, type Received } from './fixtures/mqtt-client.ts'
import { blocksOf } from './fixtures/page-blocks.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { json } from './rig/answers.ts'
import { FakeModelServer } from './rig/model-server.ts'

const BODY = '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,1],"data":[1]}]}'
const USERS = ['line-1', 'line-3', 'lab'] as const
const MODELS = ['defects', 'defects@2', 'iris', 'secret'] as const
const OPERATIONS = ['infer', 'metadata'] as const
type User = (typeof USERS)[number]
type Policy = NonNullable<ConfigInput['policy']>

const POLICY: Policy = {
  allow: [
    { clients: ['line-*'], models: ['defects'] },
    { clients: ['line-3'], models: ['defects@*', 'iris'], operations: ['metadata'] },
    { clients: ['lab'], models: ['iris'], operations: ['infer'] },
    { clients: ['lab'], models: ['iris', 's*'], operations: ['metadata'] },
  ],
}

// The answers that the policy permits: `yes`, `no operation` and `no model`, for infer and metadata of each model.
const EXPECTED: Readonly<Record<User, readonly (readonly [string, string])[]>> = {
  'line-1': [
    ['yes', 'yes'],
    ['no model', 'no model'],
    ['no model', 'no model'],
    ['no model', 'no model'],
  ],
  'line-3': [
    ['yes', 'yes'],
    ['no operation', 'yes'],
    ['no operation', 'yes'],
    ['no model', 'no model'],
  ],
  lab: [
    ['no model', 'no model'],
    ['no model', 'no model'],
    ['yes', 'yes'],
    ['no operation', 'yes'],
  ],
}
const COMBINATIONS = USERS.flatMap((user) =>
  MODELS.flatMap((model, row) =>
    OPERATIONS.map((operation, column) => ({
      user,
      model,
      operation,
      expected: EXPECTED[user][row]![column]!,
    })),
  ),
)
const SHORT: Readonly<Record<string, string>> = {
  '200': 'yes',
  model_not_found: 'no model',
  operation_not_supported: 'no operation',
}

interface CommandReport {
  readonly allowed: boolean
  readonly decisions: readonly {
    readonly operations: string[]
    readonly allowed: boolean
    readonly code?: string
  }[]
  readonly notes: readonly string[]
}

const page = 'docs/guides/connect-to-your-broker.md'
let broker: Mosquitto
let upstream: FakeModelServer
let running: TestConnector
let clients: Readonly<Record<User, TestClient>>

beforeAll(async () => {
  upstream = await FakeModelServer.start({ answer: json(200, { model_name: 'm', outputs: [] }) })
  const cards = blocksOf(page).find(({ mark }) => mark === 'cards')
  expect(cards).toBeDefined()
  broker = await startMosquitto({
    users: Object.fromEntries([...USERS, 'inferwire'].map((user) => [user, 'pass'])),
    // As the guide describes: the rule for the cards of all models is replaced by rules for the cards of one user.
    acl: `${aclText().replace('pattern read infer/models/#\n', '')}\n${cards!.text}`,
  })
  running = await runConnector(inputOf(POLICY))
  const connected = await Promise.all(USERS.map(connectAs))
  clients = Object.fromEntries(USERS.map((user, index) => [user, connected[index]!])) as typeof clients
  await vi.waitFor(() => expect(running.connector.cards.length).toBe(MODELS.length), 10_000)
})

afterAll(async () => {
  for (const client of Object.values(clients ?? {})) await client.close()
  await running?.connector.stop()
  await upstream?.stop()
  await broker?.stop()
})

function inputOf(policy: Policy): ConfigInput {
  const { url } = upstream
  return {
    broker: { url: broker.url, username: 'inferwire', password: new Secret('pass') as never },
    models: {
      defects: { url, protocolVersion: 'v2', versions: ['2'] },
      iris: { url, protocolVersion: 'v2' },
      secret: { url, protocolVersion: 'v2' },
    },
    policy,
  }
}

async function connectAs(username: User): Promise<TestClient> {
  const client = await TestClient.connect(broker.url, { username, password: 'pass' })
  await client.subscribe(`infer/reply/${username}/#`)
  return client
}

function ask(user: User, model: string, operation: string): Promise<Received> {
  const body = operation === 'metadata' ? '' : BODY
  return clients[user].ask(`infer/request/${user}/${model}/${operation}`, body, {}, 30_000)
}

function shortOf({ user }: Received): string {
  const outcome = user['code'] ?? user['status'] ?? ''
  return SHORT[outcome] ?? outcome
}

function reload(policy: Policy): void {
  const { policy: loaded } = loadConfig({ env: {}, flags: { policy } })
  running.connector.reload({ ...running.config, policy: loaded })
}

describe('each client, model and operation', () => {
  test.each(COMBINATIONS)(
    'the policy decides: $user, $model, $operation: $expected',
    async ({ user, model, operation, expected }) => {
      const calls = upstream.requests.length
      const reply = await ask(user, model, operation)
      expect(shortOf(reply)).toBe(expected)
      // A refused request reaches no model server.
      expect(upstream.requests.length - calls).toBe(expected === 'yes' && operation === 'infer' ? 1 : 0)
    },
  )

  test('`inferwire policy test` decides in the same way', async () => {
    const file = join(tempFolder('policy'), 'inferwire.yaml')
    const { models, policy } = inputOf(POLICY)
    writeFileSync(file, JSON.stringify({ models, policy }))
    const decide = async (user: string, model: string, ...operation: string[]) => {
      const words = ['policy', 'test', user, model, ...operation, '-c', file, '-o', 'json']
      const { code, stdout, stderr } = await inferwire(words)
      expect(stderr).toBe('')
      return { code, report: JSON.parse(stdout) as CommandReport }
    }
    for (const user of USERS) {
      for (const [row, model] of MODELS.entries()) {
        const { code, report } = await decide(user, model)
        const decided = OPERATIONS.map((operation) => {
          const { allowed, code: answer } = report.decisions.find((each) =>
            each.operations.includes(operation),
          )!
          return allowed ? 'yes' : SHORT[answer!]
        })
        expect([user, model, ...decided]).toEqual([user, model, ...EXPECTED[user][row]!])
        expect([report.allowed, code]).toEqual(decided.includes('yes') ? [true, 0] : [false, 77])
        expect(report.notes).toEqual([])
      }
    }
    expect(await decide('lab', 'secret', 'infer')).toMatchObject({ code: 77, report: { allowed: false } })
    expect(await decide('lab', 'secret', 'metadata')).toMatchObject({ code: 0, report: { allowed: true } })
  }, 120_000)

  test('`inferwire policy test` explains the configuration of the guide', async () => {
    const guide = blocksOf(page).find(({ mark, text }) => mark === 'config' && text.includes('operations:'))!
    const file = join(tempFolder('policy'), 'inferwire.yaml')
    writeFileSync(file, guide.text)
    const decide = (...words: string[]) => inferwire(['policy', 'test', ...words, '-c', file])
    const allowed = await decide('line-3', 'defects', 'infer')
    expect(allowed).toMatchObject({ code: 0, stderr: '' })
    expect(allowed.stdout).toContain(
      `Rule:          policy.allow[0] (${file}:9:7): up to 65536 bytes, 10 requests`,
    )
    expect((await decide('dashboard', 'iris', 'infer')).code).toBe(77)
  }, 60_000)

  test('an unknown model and a forbidden one have the same answer, whatever the operation', async () => {
    for (const operation of [...OPERATIONS, 'explain', 'x']) {
      const forbidden = await ask('line-1', 'secret', operation)
      const unknown = await ask('line-1', 'seldom', operation)
      expect(forbidden.payload.toString().replaceAll('secret', 'seldom')).toBe(unknown.payload.toString())
      // Both wait only in the connector, for a time that varies.
      expect(forbidden.user['server-timing']).toMatch(/^queue;dur=[\d.]+$/)
      expect({ ...forbidden.user, 'server-timing': '' }).toEqual({ ...unknown.user, 'server-timing': '' })
    }
  })
})

test('with the access rules of the guide, a client receives only the cards of the models that it may use', async () => {
  await clients['line-3'].subscribe('infer/models/#')
  await clients['line-1'].subscribe('infer/models/#')
  await clients['line-3'].wait(({ topic }) => topic === 'infer/models/iris', 'card of iris')
  // The broker sends the answer after the retained cards.
  await ask('line-3', 'defects', 'metadata')
  await ask('line-1', 'defects', 'metadata')
  const cardsOf = (user: User): string[] =>
    clients[user].received.map(({ topic }) => topic).filter((topic) => topic.startsWith('infer/models/'))
  expect(cardsOf('line-3').sort()).toEqual(['infer/models/defects', 'infer/models/iris'])
  expect(cardsOf('line-1')).toEqual([])
})

test('a reload under load loses no request, and each answer follows the policy before or after it', async () => {
  const line = { clients: ['line-*'] }
  const policies: readonly Policy[] = [
    { allow: [{ ...line, models: ['iris'] }] },
    {
      allow: [
        { ...line, models: ['secret'] },
        { ...line, models: ['iris'], operations: ['metadata'] },
      ],
    },
  ]
  const expected = { iris: ['yes', 'no operation'], secret: ['no model', 'yes'] } as const
  let generation = 0
  let answered = 0
  let certain = 0
  const wrong: unknown[] = []
  reload(policies[0]!)

  const work = async (user: User, model: keyof typeof expected): Promise<void> => {
    for (let index = 0; index < 150; index++) {
      const sentIn = generation
      const got = shortOf(await ask(user, model, 'infer'))
      const fits = expected[model].filter((_, which) => generation > sentIn || which === sentIn % 2)
      if (!fits.some((each) => each === got)) wrong.push({ model, sentIn, generation, got })
      if (fits.length === 1) certain += 1
      answered += 1
      if (answered % 40 === 0) reload(policies[++generation % 2]!)
    }
  }
  const workers = (['line-1', 'line-3'] as const).flatMap((user) =>
    (['iris', 'secret'] as const).flatMap((model) => Array.from({ length: 3 }, () => work(user, model))),
  )
  await Promise.all(workers)
  expect(wrong).toEqual([])
  expect([answered, generation]).toEqual([1_800, 45])
  expect(certain).toBeGreaterThan(900)
}, 120_000)

test("a client that exceeds the rate of its rule does not slow down another client's requests", async () => {
  reload({
    allow: [
      { clients: ['line-1'], models: ['iris'], rate: { requestsPerSecond: 20, burst: 10 } },
      { clients: ['line-3'], models: ['iris'] },
    ],
  })
  let isOver = false
  const outcomes = { yes: 0, overloaded: 0 }
  const calls = upstream.calls('iris')
  const startMs = performance.now()
  const flood = async (): Promise<void> => {
    while (!isOver) {
      const reply = await ask('line-1', 'iris', 'infer')
      // The client searches all messages that it has received, which would take longer and longer.
      clients['line-1'].received.splice(0)
      outcomes[shortOf(reply) as keyof typeof outcomes] += 1
      if (shortOf(reply) === 'overloaded') {
        expect(reply.json()).toMatchObject({
          status: 429,
          retryable: true,
          retry_after_ms: expect.any(Number) as number,
        })
      }
    }
  }
  const floods = Array.from({ length: 20 }, flood)
  for (let index = 0; index < 100; index++) expect(shortOf(await ask('line-3', 'iris', 'infer'))).toBe('yes')
  isOver = true
  await Promise.all(floods)
  const seconds = (performance.now() - startMs) / 1000
  expect(Object.keys(outcomes)).toEqual(['yes', 'overloaded'])
  expect(outcomes.yes).toBeGreaterThanOrEqual(10)
  expect(outcomes.yes).toBeLessThanOrEqual(10 + 20 * seconds + 1)
  expect(outcomes.overloaded).toBeGreaterThan(outcomes.yes)
  expect(upstream.calls('iris') - calls).toBe(100 + outcomes.yes)
}, 120_000)

test('a body above the limit of the rule is rejected, although the model accepts it', async () => {
  reload({ allow: [{ clients: ['lab'], models: ['iris'], requestBytesMax: 60 }] })
  const reply = await ask('lab', 'iris', 'infer')
  expect(reply.user).toMatchObject({ code: 'payload_too_large', status: '413' })
  const small = await clients.lab.ask('infer/request/lab/iris/infer', '{"inputs":[]}')
  expect(small.user['status']).toBe('200')
})
