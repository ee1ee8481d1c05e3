// Tests that the secret of no kind of credential leaves the connector, except to the server that it is meant for: not in
// its log, replies, cards, statuses and metrics, not in what the command prints, and not when the process crashes.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConfigInput } from '@inferwire/connector'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort } from './fixtures/free-port.ts'
import { inferwire, startInferwire } from './fixtures/inferwire.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { OidcIssuer } from './fixtures/oidc-issuer.ts'
import type { RunningCommand } from './fixtures/processes.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { MeshAuthority } from './gate/certificates.ts'
import { TokenIssuer } from './gate/tokens.ts'
import { text } from './rig/answers.ts'
import { FakeModelServer } from './rig/model-server.ts'

type Credential = NonNullable<ConfigInput['credentials']>[string]

const BODY = '{"instances":[[1]]}'
const USERS = { inferwire: 'canary-broker-password', cam7: 'client', watcher: 'client' }
// The credentials that are sent in headers.
const HEADERS = ['file', 'header', 'client', 'exchange']
const CLIENT_SECRET = 'canary-client:secret'

const folder = tempFolder('secrets')
const configFile = join(folder, 'inferwire.yaml')
const cluster = new TokenIssuer()
const file = (name: string, content: string): string => {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}
const tokens = {
  file: cluster.ofServiceAccount('canary', 'file'),
  subject: cluster.ofServiceAccount('canary', 'subject'),
  expired: cluster.ofServiceAccount('canary', 'expired', { exp: 1 }),
}

let broker: Mosquitto
let issuer: OidcIssuer
let accepting: FakeModelServer
let refusing: FakeModelServer
let secure: FakeModelServer
let authority: MeshAuthority
let keyFile: string
let clientKey: string
let connector: RunningCommand
let client: TestClient
let watcher: TestClient

beforeAll(async () => {
  broker = await startMosquitto({ users: USERS })
  issuer = await OidcIssuer.start({
    clientId: 'inferwire',
    clientSecret: CLIENT_SECRET,
    audience: 'models',
    subjectKeys: () => cluster.jwks,
  })
  accepting = await FakeModelServer.start()
  refusing = await FakeModelServer.start({
    answer: text(401, 'text/plain', 'Jwt is expired', { 'www-authenticate': 'Bearer error="invalid_token"' }),
  })
  authority = new MeshAuthority(folder)
  const [own, served] = [authority.issue('canary', 'inferwire'), authority.issue('alice', 'iris')]
  keyFile = own.key
  clientKey = readFileSync(keyFile, 'utf8')
  const tls = {
    cert: readFileSync(served.certificate, 'utf8'),
    key: readFileSync(served.key, 'utf8'),
    ca: readFileSync(authority.ca),
    requestCert: true,
    rejectUnauthorized: true,
  }
  secure = await FakeModelServer.start({ tls })

  const oauth = {
    tokenUrl: issuer.tokenUrl,
    clientId: 'inferwire',
    clientSecretFile: file('client', CLIENT_SECRET),
  }
  const exchange = { kind: 'oauth-token-exchange', subjectTokenType: 'jwt', ...oauth }
  const credentials: Record<string, object> = {
    file: { kind: 'token-file', tokenFile: file('token', tokens.file) },
    header: { kind: 'static-header', name: 'x-api-key', valueFile: file('header', 'canary-api-key') },
    client: { kind: 'oauth-client-credentials', ...oauth },
    exchange: { ...exchange, subjectTokenFile: file('subject', tokens.subject) },
    mtls: { kind: 'mtls', certFile: own.certificate, keyFile: own.key },
    // Mistakes whose messages must not show the secret.
    lines: { kind: 'token-file', tokenFile: file('lines', 'canary-first\ncanary-second') },
    wrong: {
      kind: 'oauth-client-credentials',
      ...oauth,
      clientSecretFile: file('wrong', 'canary-wrong:secret'),
    },
    expired: { ...exchange, subjectTokenFile: file('expired', tokens.expired) },
  }
  const down = `http://127.0.0.1:${await freePort()}`
  writeFileSync(
    configFile,
    JSON.stringify({
      broker: {
        url: broker.url,
        username: 'inferwire',
        passwordFile: file('broker', USERS.inferwire),
      },
      admin: { port: await freePort() },
      credentials: credentials as Record<string, Credential>,
      models: {
        ...Object.fromEntries(HEADERS.map((name) => [name, model(accepting.url, name)])),
        ...Object.fromEntries(HEADERS.map((name) => [`refused-${name}`, model(refusing.url, name)])),
        ...Object.fromEntries(HEADERS.map((name) => [`down-${name}`, model(down, name)])),
        mtls: { ...model(secure.url, 'mtls'), tls: { caFile: authority.ca, insecureSkipVerify: true } },
        'mtls-untrusted': model(secure.url, 'mtls'),
        ...Object.fromEntries(
          ['lines', 'wrong', 'expired'].map((name) => [name, model(accepting.url, name)]),
        ),
        // A credential without a name.
        own: { ...model(accepting.url, ''), credential: credentials['file'] },
      },
    }),
  )
  watcher = await TestClient.connect(broker.url, { username: 'watcher', password: USERS.watcher })
  await watcher.subscribe('#')
  client = await TestClient.connect(broker.url, { username: 'cam7', password: USERS.cam7 })
  await client.subscribe('infer/reply/cam7/#')
})
afterAll(async () => {
  await client?.close()
  await watcher?.close()
  connector?.signal('SIGKILL')
  await connector?.ended
  for (const part of [secure, refusing, accepting, issuer, broker]) await part?.stop()
})

const model = (url: string, credential: string): object => ({ url, protocolVersion: 'v1', credential })

/** Returns the names of the secrets that the text contains, in any usual encoding. */
function secretsIn(seen: string): string[] {
  const jwts = { ...tokens, issued: issuedTokens() }
  const parts = Object.entries(jwts).flatMap(([name, value]) =>
    [value]
      .flat()
      .flatMap((token) => token.split('.').slice(1))
      .map((part) => [name, part] as const),
  )
  const keyLines = clientKey
    .split('\n')
    .filter((line) => line.length > 20 && !line.startsWith('-'))
    .map((line) => ['client key', line] as const)
  const canaries = [
    'canary-broker',
    'canary-client',
    'canary-wrong',
    'canary-api-key',
    'canary-first',
    'canary-second',
  ]
  const basic = [CLIENT_SECRET, 'canary-wrong:secret'].map(
    (secret) => ['basic', Buffer.from(`inferwire:${encodeURIComponent(secret)}`).toString('base64')] as const,
  )
  const all = [...parts, ...keyLines, ...basic, ...canaries.map((canary) => [canary, canary] as const)]
  return all.filter(([, secret]) => seen.includes(secret)).map(([name]) => name)
}

/** The tokens of the issuer that a model server has received. */
function issuedTokens(): string[] {
  return accepting.requests
    .filter(({ model }) => model === 'client' || model === 'exchange')
    .map(({ headers }) => headers.authorization!.slice('Bearer '.length))
}

async function config(command: 'check' | 'print'): Promise<string> {
  const { stdout, stderr } = await inferwire(['config', command, '-c', configFile])
  return stdout + stderr
}

test('the secrets of all kinds of credentials are sent to model servers, and appear nowhere else', async () => {
  const crash = `data:text/javascript,${encodeURIComponent("process.on('SIGUSR2',()=>{throw new Error('planned')})")}`
  connector = startInferwire(['connect', '-c', configFile, '--log-format', 'json', '--log-level', 'debug'], {
    env: { NODE_OPTIONS: `--import=${crash}` },
    timeoutMs: 100_000,
  })
  await connector.said(/"event":"session_ready"/)
  const { models, admin } = JSON.parse(readFileSync(configFile, 'utf8')) as {
    readonly models: object
    readonly admin: { readonly port: number }
  }
  const codes: Record<string, string | undefined> = {}
  for (const name of Object.keys(models)) {
    const reply = await client.ask(`infer/request/cam7/${name}/predict`, BODY, {}, 30_000)
    codes[name] = reply.user['code'] ?? reply.user['status']
  }
  const refused = HEADERS.map((name) => `refused-${name}`)
  const expected = {
    200: [...HEADERS, 'mtls', 'own'],
    unauthorized_upstream: [...refused, 'lines', 'wrong', 'expired'],
    upstream_unreachable: [...HEADERS.map((name) => `down-${name}`), 'mtls-untrusted'],
  }
  const pairs = Object.entries(expected).flatMap(([code, names]) => names.map((name) => [name, code]))
  expect(codes).toEqual(Object.fromEntries(pairs))
  const received = accepting.requests.map(({ headers }) => JSON.stringify(headers)).join('\n')
  expect(secretsIn(received)).toEqual(expect.arrayContaining(['file', 'issued', 'canary-api-key']))

  const printed = (await config('print')) + (await config('check'))
  expect(printed).toContain('oauth-token-exchange')

  // A secret that becomes invalid.
  file('token', `${tokens.file}\ncanary-second`)
  await expect
    .poll(
      async () => {
        await client.ask('infer/request/cam7/file/predict', BODY)
        return connector.stderr()
      },
      { timeout: 20_000, interval: 200 },
    )
    .toMatch(/"credential_failed","credential":"credentials.file"/)

  // A key that does not belong to its certificate. Each request to this model opens a connection.
  writeFileSync(keyFile, readFileSync(authority.issue('canary', 'other').key))
  await client.ask('infer/request/cam7/mtls-untrusted/predict', BODY)
  expect(connector.stderr()).toMatch(/"credential_failed","credential":"credentials.mtls"/)

  const metrics = await (await fetch(`http://127.0.0.1:${admin.port}/metrics`)).text()
  expect(metrics).toContain('inferwire_requests_total{model="exchange"')
  connector.signal('SIGUSR2')
  const { stdout, stderr } = await connector.ended
  expect(stderr).toContain('planned')
  const messages = watcher.received.map(({ topic, payload, properties }) =>
    [topic, payload.toString('latin1'), JSON.stringify(properties)].join(' '),
  )
  expect(messages.join()).toContain('infer/models/exchange')
  for (const seen of [stdout, stderr, metrics, printed, ...messages])
    expect(secretsIn(seen), seen).toEqual([])
})
