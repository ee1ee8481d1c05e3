// Tests the credentials at Kubeflow's gate: through the ingress gateway and the pod's sidecar, KServe's server answers an
// MQTT client if the connector's token names the identity that the generated AuthorizationPolicy allows.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConfigInput } from '@inferwire/connector'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runConnector, type TestConnector } from './fixtures/connector.ts'
import { startKserveServer } from './fixtures/kserve-server.ts'
import { startMosquitto, type Mosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { OidcIssuer } from './fixtures/oidc-issuer.ts'
import type { PythonServer } from './fixtures/python-server.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { hostOf, startGate, type Gate } from './gate/gate.ts'
import { policyFor } from './gate/istio/policies.ts'

type Credential = NonNullable<ConfigInput['credentials']>[string]

// The user that the generated policy allows: the connector's ServiceAccount.
const SERVICE_ACCOUNT = 'system:serviceaccount:inferwire:inferwire'
const SECRET = 'secret-of-the-client'
const IRIS = '{"instances":[[5.1,3.5,1.4,0.2],[6.7,3.0,5.2,2.3]]}'

let broker: Mosquitto
let server: PythonServer
let issuer: OidcIssuer
let gate: Gate
let running: TestConnector
let client: TestClient

beforeAll(async () => {
  broker = await startMosquitto()
  server = await startKserveServer()
  issuer = await OidcIssuer.start({
    // A gateway passes on the subject of a token, which is the client's identifier for client credentials.
    clientId: SERVICE_ACCOUNT,
    clientSecret: SECRET,
    audience: 'models',
    subjectKeys: () => gate.tokens.jwks,
  })
  const [port, grpcPort] = [server.url, server.grpcUrl].map((url) => Number(new URL(url).port))
  gate = await startGate({
    pods: { iris: { port: port!, grpcPort: grpcPort! }, echo: { port: port! } },
    policies: [policyFor('standard, through the gateway')],
    issuers: [{ issuer: issuer.url, keys: issuer.keys, userClaim: 'sub', audiences: ['models'] }],
  })
  const file = secretFiles(tempFolder('gate-credentials'))
  const own = file('token', gate.tokens.ofServiceAccount('inferwire', 'inferwire'))
  const neighbour = file('neighbour', gate.tokens.ofServiceAccount('bob', 'default'))
  const oauth = {
    tokenUrl: issuer.tokenUrl,
    clientId: SERVICE_ACCOUNT,
    clientSecretFile: file('secret', SECRET),
  }
  const exchange = { kind: 'oauth-token-exchange', subjectTokenType: 'jwt', ...oauth }
  const credentials: Record<string, object> = {
    'service-account': { kind: 'token-file', tokenFile: own },
    'client-credentials': { kind: 'oauth-client-credentials', ...oauth },
    exchange: { ...exchange, subjectTokenFile: own },
    neighbour: { ...exchange, subjectTokenFile: neighbour },
  }
  const to = (
    pod: string,
    credential: string,
    url = gate.url,
  ): NonNullable<ConfigInput['models']>[string] => ({
    url,
    host: hostOf(pod),
    modelName: pod,
    protocolVersion: 'v1',
    credential,
  })
  running = await runConnector({
    broker: { url: broker.url },
    credentials: credentials as Record<string, Credential>,
    models: {
      ...Object.fromEntries(Object.keys(credentials).map((name) => [`by-${name}`, to('iris', name)])),
      // The connector's own sidecar forwards the call to the gateway, and does not change the token.
      'by-sidecar': to('iris', 'exchange', gate.sidecarUrl),
      'by-grpc': { ...to('iris', 'exchange'), protocolVersion: 'grpc-v2' },
      'other-model': to('echo', 'exchange'),
      'without-token': { ...to('iris', 'exchange'), credential: { kind: 'none' } },
    },
  })
  client = await TestClient.connect(broker.url)
  await client.subscribe('infer/reply/cam7/#')
})
afterAll(async () => {
  await client?.close()
  await running?.connector.stop()
  await gate?.stop()
  await issuer?.stop()
  await server?.stop()
  await broker?.stop()
})

function secretFiles(folder: string): (name: string, content: string) => string {
  return (name, content) => {
    writeFileSync(join(folder, name), content)
    return join(folder, name)
  }
}

test.each([
  ["the connector's ServiceAccount token", 'by-service-account'],
  ['a token from client credentials', 'by-client-credentials'],
  ['an exchanged ServiceAccount token', 'by-exchange'],
  ["an exchanged token, through the connector's own sidecar", 'by-sidecar'],
])('KServe answers through gateway and sidecar with %s', async (_, model) => {
  const reply = await client.ask(`infer/request/cam7/${model}/predict`, IRIS, {}, 20_000)
  expect(reply.user['status'], reply.payload.toString()).toBe('200')
  expect(reply.json()).toEqual({ predictions: [0, 2] })
})

test('KServe answers through gateway and sidecar over gRPC with an exchanged token', async () => {
  const inputs = [{ name: 'input-0', shape: [1, 4], datatype: 'FP32', data: [5.1, 3.5, 1.4, 0.2] }]
  const body = JSON.stringify({ inputs })
  const reply = await client.ask('infer/request/cam7/by-grpc/infer', body, {}, 20_000)
  expect(reply.user['status'], reply.payload.toString()).toBe('200')
  expect(reply.json()).toMatchObject({ outputs: [{ data: [0] }] })
})

test.each([
  ['a model that the policy does not name', 'other-model'],
  ['an exchanged token of another ServiceAccount', 'by-neighbour'],
  ['no token', 'without-token'],
])('the same way is closed for %s', async (_, model) => {
  const reply = await client.ask(`infer/request/cam7/${model}/predict`, IRIS, {}, 20_000)
  expect(reply.user).toMatchObject({ code: 'unauthorized_upstream' })
})
