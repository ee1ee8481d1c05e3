// Tests tokens from a real OAuth 2.0 issuer: an MQTT client's request reaches KServe's server behind a proxy that
// verifies the signature, the audience and the lifetime of the connector's token.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConfigInput } from '@inferwire/connector'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startKserveServer } from './fixtures/kserve-server.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient, type Received } from './fixtures/mqtt-client.ts'
import { OidcIssuer, type OidcIssuerOptions } from './fixtures/oidc-issuer.ts'
import type { PythonServer } from './fixtures/python-server.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { TokenProxy } from './fixtures/token-proxy.ts'
import { verifiedClaims, type Claims } from './fixtures/verify-token.ts'
import { TokenIssuer } from './gate/tokens.ts'

type Credential = NonNullable<ConfigInput['credentials']>[string]

// RFC 6749 §2.3.1 encodes these characters.
const CLIENT = { clientId: 'infer:wire', clientSecret: 's3cret:/+%&', audience: 'models' }
const BODY = '{"instances":[[5.1,3.5,1.4,0.2],[6.7,3.0,5.2,2.3]]}'

const cluster = new TokenIssuer()
const folder = tempFolder('oauth')
const secretFile = join(folder, 'secret')
const subjectFile = join(folder, 'subject')
let broker: Mosquitto
let server: PythonServer
let client: TestClient
let issuer: OidcIssuer
let proxy: TokenProxy
let running: TestConnector | undefined
let claims: Claims[] = []

beforeAll(async () => {
  broker = await startMosquitto()
  server = await startKserveServer()
  client = await TestClient.connect(broker.url)
  await client.subscribe('infer/reply/cam7/#')
})
afterEach(async () => {
  await running?.connector.stop()
  running = undefined
  await proxy?.stop()
  await issuer?.stop()
})
afterAll(async () => {
  await client?.close()
  await server?.stop()
  await broker?.stop()
})

async function start(credential: object, more: Partial<OidcIssuerOptions> = {}): Promise<void> {
  writeFileSync(secretFile, CLIENT.clientSecret)
  issuer = await OidcIssuer.start({ ...CLIENT, subjectKeys: () => cluster.jwks, ...more })
  claims = []
  proxy = await TokenProxy.start(server.url, (token) => {
    const verified = verifiedClaims(token, issuer.keys)
    if (verified['iss'] !== issuer.url) throw new Error('wrong issuer')
    if (verified['aud'] !== 'models') throw new Error('wrong audience')
    claims.push(verified)
  })
  const oauth = { tokenUrl: issuer.tokenUrl, clientId: CLIENT.clientId, clientSecretFile: secretFile }
  running = await runConnector({
    broker: { url: broker.url },
    credentials: { gateway: { ...oauth, ...credential } as Credential },
    models: { iris: { url: proxy.url, protocolVersion: 'v1', credential: 'gateway' } },
  })
}

const ask = (): Promise<Received> => client.ask('infer/request/cam7/iris/predict', BODY, {}, 20_000)

async function expectAnswers(): Promise<void> {
  const reply = await ask()
  expect(reply.user['status'], reply.payload.toString()).toBe('200')
  expect(reply.json()).toEqual({ predictions: [0, 2] })
}

test.each([
  ['in a header', 'basic', 'client_secret_basic'],
  ['in the body', 'post', 'client_secret_post'],
] as const)(
  'client credentials, with the secret %s: KServe answers an MQTT client',
  async (_, own, issuers) => {
    await start(
      { kind: 'oauth-client-credentials', clientAuthentication: own },
      { clientAuthentication: issuers },
    )
    await expectAnswers()
    await expectAnswers()
    expect(claims.at(-1)).toMatchObject({ sub: CLIENT.clientId, client_id: CLIENT.clientId })
    expect([proxy.accepted.size, proxy.refusals]).toEqual([1, []])
  },
)

test('token exchange: the token that reaches KServe names the ServiceAccount of the exchanged token', async () => {
  writeFileSync(subjectFile, cluster.ofServiceAccount('inferwire', 'inferwire'))
  await start({ kind: 'oauth-token-exchange', subjectTokenFile: subjectFile, subjectTokenType: 'jwt' })
  await expectAnswers()
  expect(claims.at(-1)).toMatchObject({ sub: 'system:serviceaccount:inferwire:inferwire' })
  expect([proxy.accepted.size, proxy.refusals]).toEqual([1, []])
})

test('requests succeed again as soon as a wrong client secret is corrected', async () => {
  await start({ kind: 'oauth-client-credentials' }, { clientSecret: 'the new one' })
  const refused = await ask()
  expect(refused.user).toMatchObject({ code: 'unauthorized_upstream' })
  expect(refused.json()).toMatchObject({ error: 'The connector could not obtain a token for this model.' })
  const logged = running!.log.find((line) => line.includes('"credential_failed"'))!
  expect(JSON.parse(logged)).toMatchObject({
    credential: 'credentials.gateway',
    detail: expect.stringContaining('401 "invalid_client"') as string,
  })
  writeFileSync(secretFile, 'the new one')
  await expect.poll(async () => (await ask()).user['status'], { timeout: 40_000, interval: 200 }).toBe('200')
})

test('a subject token that the issuer refuses is named in the log, and never shown', async () => {
  const expired = cluster.ofServiceAccount('inferwire', 'inferwire', { exp: 1 })
  writeFileSync(subjectFile, expired)
  await start({ kind: 'oauth-token-exchange', subjectTokenFile: subjectFile, subjectTokenType: 'jwt' })
  expect((await ask()).user).toMatchObject({ code: 'unauthorized_upstream' })
  const log = running!.log.join('\n')
  expect(log).toContain('400 \\"invalid_grant\\"')
  expect(log).toContain('subjectTokenFile')
  for (const part of expired.split('.')) expect(log).not.toContain(part)
  expect(log).not.toContain(CLIENT.clientSecret)
})
