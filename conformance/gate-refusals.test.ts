// Tests that the connector names every refusal of Kubeflow's gate, over HTTP and over gRPC: the log has the refusal and
// its remedy, the client has only a safe sentence, and retries and the circuit follow the table of refusals.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { REFUSALS, type ConfigInput, type RefusalName } from '@inferwire/connector'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient, type Received } from './fixtures/mqtt-client.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { FAULTY, hostOf, OWNER, startGate, type Gate } from './gate/gate.ts'
import { TokenIssuer } from './gate/tokens.ts'
import { json } from './rig/answers.ts'
import { GrpcModelServer } from './rig/grpc-model-server.ts'
import { FakeModelServer } from './rig/model-server.ts'

type Transport = 'http' | 'grpc'

/** One way to be refused. */
interface Case {
  /** The row of the recorded refusals, or what distinguishes the case. */
  readonly row: string
  readonly refusal: RefusalName
  /** @default the host of the first pod */
  readonly host?: string
  /** @default the gateway */
  readonly at?: (gate: Gate) => string
  /** @default no credential */
  readonly token?: (tokens: TokenIssuer) => string
  /** The model's name on its server. @default x */
  readonly modelName?: string
  /** Requests to send at once; the last one is refused. @default 1 */
  readonly requests?: number
  /** Prepares the gate, and returns a function that restores it. */
  readonly prepare?: (gate: Gate) => Promise<() => Promise<void>>
}

const FETCHED = 'https://issuer.example'
const NARROW = 'https://narrow.example'
const owner = (tokens: TokenIssuer): string => tokens.ofUser(OWNER)
const nowSeconds = (): number => Math.floor(Date.now() / 1000)

const CASES: readonly Case[] = [
  {
    row: '1, a redirect to the login',
    refusal: 'login_required',
    prepare: (gate) => {
      gate.login.reply = 'redirect'
      return Promise.resolve(() => {
        gate.login.reply = 'page'
        return Promise.resolve()
      })
    },
  },
  { row: '2, the login page', refusal: 'login_required' },
  {
    row: '3, an expired token',
    refusal: 'token_expired',
    token: (tokens) => tokens.ofUser(OWNER, { exp: nowSeconds() - 600 }),
  },
  {
    row: '4, a token of the future',
    refusal: 'token_not_yet_valid',
    token: (tokens) => tokens.ofUser(OWNER, { nbf: nowSeconds() + 600 }),
  },
  {
    row: '5, an unknown issuer',
    refusal: 'token_issuer_unknown',
    token: (tokens) => tokens.ofUser(OWNER, { iss: 'https://other.example' }),
  },
  {
    row: '6, a wrong audience',
    refusal: 'token_audience_wrong',
    token: (tokens) => tokens.ofUser(OWNER, { iss: NARROW, aud: 'other' }),
  },
  { row: '7, new keys', refusal: 'token_keys_unknown', token: () => new TokenIssuer().ofUser(OWNER) },
  {
    row: '7, keys that cannot be fetched',
    refusal: 'token_keys_unknown',
    token: (tokens) => tokens.ofUser(OWNER, { iss: FETCHED }),
  },
  { row: '8, a wrong signature', refusal: 'token_rejected', token: (tokens) => tampered(owner(tokens)) },
  { row: '9, no token and no route', refusal: 'gateway_denied', host: FAULTY.unknown },
  {
    row: '10, another user',
    refusal: 'predictor_denied',
    token: (tokens) => tokens.ofServiceAccount('bob', 'default'),
  },
  {
    row: '11, a login service that is down',
    refusal: 'login_service_down',
    prepare: async (gate) => {
      await gate.login.stop()
      return () => gate.login.restart()
    },
  },
  { row: '12, an unknown host', refusal: 'no_route', host: FAULTY.unknown, token: owner },
  { row: '13, the dashboard', refusal: 'web_page', host: FAULTY.dashboard, token: owner },
  {
    row: '14, too many calls',
    refusal: 'gateway_full',
    host: FAULTY.busy,
    token: owner,
    modelName: 'hang',
    requests: 4,
  },
  { row: '15, no pod', refusal: 'no_pod', host: FAULTY.noPod, token: owner },
  { row: '16, a gateway without mTLS', refusal: 'connection_reset', host: FAULTY.plaintext, token: owner },
  { row: '16, a pod that is down', refusal: 'pod_unreachable', host: FAULTY.down, token: owner },
  {
    row: '17, a slow model',
    refusal: 'gateway_timeout',
    host: FAULTY.slow,
    token: owner,
    modelName: 'hang',
  },
  {
    row: '18, a large token',
    refusal: 'header_too_large',
    at: (gate) => gate.narrowUrl,
    token: (tokens) => tokens.ofUser(OWNER, { groups: 'x'.repeat(9_000) }),
  },
  {
    row: '20, a pod without the gateway',
    refusal: 'connection_closed',
    at: (gate) => `http://127.0.0.1:${gate.podPort['iris']}`,
    token: owner,
  },
]

const BUDGET_FILLED = { timeout: 20_000, interval: 50 }
const ATTEMPTS: Readonly<Record<string, number>> = { 'back-off': 3, once: 2 }
const BODIES: Readonly<Record<Transport, string>> = {
  http: '{"instances":[[1]]}',
  grpc: '{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}',
}
const OPERATIONS = { http: 'predict', grpc: 'infer' } as const

const folder = tempFolder('gate-tokens')
let broker: Mosquitto
let model: FakeModelServer
let grpcModel: GrpcModelServer
let gate: Gate
let running: TestConnector
let client: TestClient

beforeAll(async () => {
  broker = await startMosquitto()
  model = await FakeModelServer.start({
    answer: (reply, call) => {
      if (call.model === 'hang' || call.body.includes('hang')) return
      if (call.model === 'own401')
        json(401, { error: 'key' }, { 'www-authenticate': 'Bearer realm="m"' })(reply, call)
      else json(200, { predictions: [1] })(reply, call)
    },
  })
  grpcModel = await GrpcModelServer.start()
  const pod = { port: model.port, grpcPort: Number(new URL(grpcModel.url).port) }
  const extra = { userClaim: 'email' }
  const { jwks } = new TokenIssuer()
  gate = await startGate({
    pods: { iris: pod },
    issuers: [
      { issuer: FETCHED, keys: 'unreachable', ...extra },
      { issuer: NARROW, keys: jwks, audiences: ['kubeflow'], ...extra },
    ],
  })
  running = await runConnector({ broker: { url: broker.url }, models: modelsOf() })
  const startedAtMs = performance.now()
  client = await TestClient.connect(broker.url)
  await client.subscribe('infer/reply/#')
  // The budget for retries of each model starts empty, and gains three retries per second.
  await vi.waitUntil(() => performance.now() > startedAtMs + 1_000, BUDGET_FILLED)
})
afterAll(async () => {
  await client?.close()
  await running?.connector.stop()
  await gate?.stop()
  await grpcModel?.stop()
  await model?.stop()
  await broker?.stop()
})

type ModelInput = NonNullable<ConfigInput['models']>[string]

function modelsOf(): Record<string, ModelInput> {
  const cases = (['http', 'grpc'] as const).flatMap((transport) =>
    CASES.map(
      (given, index) =>
        [nameOf(transport, index), inputOf(transport, given, nameOf(transport, index))] as const,
    ),
  )
  const changing = (['http', 'grpc'] as const).flatMap((transport) =>
    (['stripped', 'sidecar'] as const).map((kind) => {
      const at = kind === 'stripped' ? gate.strippedUrl : gate.sidecarUrl
      const name = `${kind}-${transport}`
      return [
        name,
        inputOf(transport, { row: '', refusal: 'mesh_denied', at: () => at, token: owner }, name),
      ] as const
    }),
  )
  const own: ModelInput = {
    ...inputOf('http', { row: '', refusal: 'web_page', token: owner }, 'own'),
    modelName: 'own401',
  }
  const warm: ModelInput = inputOf(
    'http',
    { row: '', refusal: 'web_page', token: owner, host: FAULTY.slow },
    'warm',
  )
  return Object.fromEntries([...cases, ...changing, ['own', own], ['warm', warm]])
}

function nameOf(transport: Transport, index: number): string {
  return `${transport}-${index}`
}

function inputOf(transport: Transport, given: Case, name: string): ModelInput {
  const { at = ({ url }) => url, host = hostOf('iris'), token, modelName = 'x' } = given
  const tokenFile = join(folder, name)
  if (token !== undefined) writeFileSync(tokenFile, token(gate.tokens))
  return {
    url: at(gate),
    host,
    modelName,
    protocolVersion: transport === 'http' ? 'v1' : 'grpc-v2',
    timeoutMs: 10_000,
    // A single failure that counts would open the circuit.
    circuit: { failuresMax: 1, timeoutMinMs: 10_000 },
    ...(token === undefined ? {} : { credential: { kind: 'token-file', tokenFile } }),
  }
}

function tampered(token: string): string {
  const [header, payload, signature] = token.split('.')
  return `${header}.${payload}.${signature!.startsWith('A') ? 'B' : 'A'}${signature!.slice(1)}`
}

async function ask(name: string, transport: Transport, body = BODIES[transport]): Promise<Received> {
  const topic = `infer/request/t/${name}/${OPERATIONS[transport]}`
  return await client.ask(topic, body, { responseTopic: 'infer/reply/t/x' }, 30_000)
}

function failures(name: string): Record<string, unknown>[] {
  return running.log
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line['event'] === 'request_failed' && line['model'] === name)
}

async function metric(name: string, labels: string): Promise<number> {
  const response = await fetch(`${running.connector.adminUrl}/metrics`)
  const line = (await response.text()).split('\n').find((each) => each.startsWith(`${name}{${labels}}`))
  return Number(line?.split(' ')[1] ?? 0)
}

describe.each(['http', 'grpc'] as const)('over %s, the connector names', (transport) => {
  test.each(CASES.map((given, index) => [given.row, given, nameOf(transport, index)] as const))(
    'row %s',
    async (_row, { refusal, prepare, requests: count = 1 }, name) => {
      const restore = await prepare?.(gate)
      const replies = Array.from({ length: count }, () => ask(name, transport))
      // The model never answers the first requests.
      const reply = await Promise.any(replies)
      await restore?.()

      const kind = REFUSALS[refusal]
      expect(reply.user).toMatchObject({ code: kind.code })
      // The client sees neither addresses nor the gateway's text.
      const body = reply.json() as Record<string, unknown>
      expect(body).toMatchObject({ error: kind.sentence, code: kind.code })
      expect(
        Object.keys(body).filter(
          (key) => !['error', 'code', 'status', 'retryable', 'retry_after_ms'].includes(key),
        ),
      ).toEqual([])
      expect(failures(name).at(-1)).toMatchObject({ refusal, remedy: kind.remedy, msg: kind.sentence })

      const labels = `model="${name}",refusal="${refusal}"`
      const attempts = ATTEMPTS[kind.retry] ?? 1
      expect(await metric('inferwire_upstream_refusals_total', labels)).toBeGreaterThanOrEqual(attempts)
      if (count === 1) expect(await metric('inferwire_upstream_refusals_total', labels)).toBe(attempts)
      // None of these servers has answered before, so that each of them may be starting.
      const opens = kind.countsForCircuit === 'yes' ? 1 : 0
      expect(await metric('inferwire_upstream_circuit_opens_total', `model="${name}"`)).toBe(opens)
    },
  )
})

// The connector reads a changed token within a second.
const POLL = { timeout: 20_000, interval: 100 }

async function refusalOf(name: string, transport: Transport): Promise<unknown> {
  await ask(name, transport)
  return failures(name).at(-1)?.['refusal']
}

describe.each(['http', 'grpc'] as const)('over %s', (transport) => {
  test('a gateway that removes x-envoy-upstream-service-time, and a sidecar that always adds it, hide who refused', async () => {
    const bob = gate.tokens.ofServiceAccount('bob', 'default')
    const stripped = `stripped-${transport}`
    expect((await ask(stripped, transport)).user).toMatchObject({ status: '200' })
    writeFileSync(join(folder, stripped), bob)
    await expect.poll(() => refusalOf(stripped, transport), POLL).toBe('mesh_denied')

    const sidecar = `sidecar-${transport}`
    writeFileSync(join(folder, sidecar), gate.tokens.ofUser(OWNER, { exp: nowSeconds() - 600 }))
    await expect.poll(() => refusalOf(sidecar, transport), POLL).toBe('token_expired')
    writeFileSync(join(folder, sidecar), bob)
    await expect.poll(() => refusalOf(sidecar, transport), POLL).toBe('mesh_denied')
  })
})

test("row 19: the model's own 401 reaches the client", async () => {
  const reply = await ask('own', 'http')
  expect(reply.user).toMatchObject({ status: '401', code: 'upstream_error' })
  expect(reply.json()).toEqual({ error: 'key' })
  expect(failures('own').at(-1)).not.toHaveProperty('refusal')
})

test('a refusal that may be a cold start counts for the circuit once the model has answered', async () => {
  expect((await ask('warm', 'http')).user).toMatchObject({ status: '200' })
  const reply = await ask('warm', 'http', '{"instances":["hang"]}')
  expect(reply.user).toMatchObject({ status: '504', code: 'upstream_error' })
  expect(await metric('inferwire_upstream_circuit_opens_total', 'model="warm"')).toBe(1)
})
