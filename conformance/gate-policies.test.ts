// Tests the AuthorizationPolicies that Inferwire generates for Kubeflow: with them, the connector reaches one model and
// none of its neighbours. Envoy enforces the policies; the test renders them as Istio does.
import { readFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { rbacRules, type AuthorizationPolicy } from './gate/authorization-policy.ts'
import { hostOf, startGate, type Gate } from './gate/gate.ts'
import { allPolicies, policyFor, type WayName } from './gate/istio/policies.ts'
import { canonicalRules } from './gate/istio/canonical-rules.ts'
import { FakeModelServer } from './rig/model-server.ts'

interface Recorded {
  readonly policy: AuthorizationPolicy
  readonly filter: { readonly typedConfig: { readonly rules: object } }
}

const RECORDED = JSON.parse(
  readFileSync(new URL('./gate/istio/filters.json', import.meta.url), 'utf8'),
) as Record<string, Recorded>
const CONNECTOR = ['inferwire', 'inferwire'] as const
const NEIGHBOUR = ['bob', 'default'] as const
const PREDICT = '/v1/models/iris:predict'

let model: FakeModelServer
let gate: Gate | undefined

beforeAll(async () => void (model = await FakeModelServer.start()))
afterEach(async () => {
  await gate?.stop()
  gate = undefined
})
afterAll(() => model?.stop())

async function gateWith(way: WayName): Promise<Gate> {
  gate = await startGate({
    pods: { iris: { port: model.port }, digits: { port: model.port } },
    policies: [policyFor(way)],
  })
  return gate
}

/** Calls a pod's sidecar, as the sidecar of another workload does. */
function callPod(
  at: Gate,
  pod: string,
  identity: readonly [namespace: string, serviceAccount: string],
  path = PREDICT,
  headers: Record<string, string> = {},
): Promise<number> {
  const { certificate, key } = at.certificateOf(...identity)
  const tls = { cert: readFileSync(certificate), key: readFileSync(key), ca: readFileSync(at.ca) }
  // Workload certificates contain no host name.
  const options = { ...tls, checkServerIdentity: () => undefined, method: 'POST', headers }
  return statusOf((done) => httpsRequest(`https://127.0.0.1:${at.podPort[pod]}${path}`, options, done))
}

function callGateway(at: Gate, pod: string, token: string, path = PREDICT): Promise<number> {
  const headers = { host: hostOf(pod), authorization: `Bearer ${token}` }
  return statusOf((done) => httpRequest(at.url + path, { method: 'POST', headers }, done))
}

function statusOf(
  call: (done: Parameters<typeof httpRequest>[2]) => ReturnType<typeof httpRequest>,
): Promise<number> {
  return new Promise((resolve, reject) => {
    call((response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode!))
    })
      .on('error', reject)
      .end('{"instances":[[1]]}')
  })
}

describe('the rendering of a policy', () => {
  test('is recorded for every policy that the generator creates', () => {
    // After a change of the generator: npm run gate:istio
    const recorded = Object.entries(RECORDED).map(([name, { policy }]) => [name, policy])
    expect(Object.fromEntries(recorded)).toEqual(allPolicies())
  })

  test.each(Object.entries(RECORDED))('means the same as that of Istio: %s', (_, { policy, filter }) => {
    expect(canonicalRules(rbacRules([policy], 'ALLOW'))).toEqual(canonicalRules(filter.typedConfig.rules))
  })
})

describe('with a policy for a connector in the mesh', () => {
  test('in Standard mode, the connector reaches the inference paths of one model', async () => {
    const at = await gateWith('standard, in the mesh')
    expect(await callPod(at, 'iris', CONNECTOR)).toBe(200)
    expect(await callPod(at, 'digits', CONNECTOR)).toBe(403)
    expect(await callPod(at, 'iris', CONNECTOR, '/v2/repository/models/iris/unload')).toBe(403)
    const unload = '/inference.GRPCInferenceService/RepositoryModelUnload'
    expect(await callPod(at, 'iris', CONNECTOR, unload)).toBe(403)
    expect(await callPod(at, 'iris', NEIGHBOUR)).toBe(403)
    const ownNamespace = ['inferwire', 'default'] as const
    expect(await callPod(at, 'iris', ownNamespace)).toBe(403)
  })

  test('in Knative mode, the activator and the gateway reach the inference paths of one model', async () => {
    const at = await gateWith('knative, in the mesh')
    for (const caller of [
      ['knative-serving', 'controller'],
      ['istio-system', 'cluster-local-gateway-service-account'],
    ] as const) {
      expect(await callPod(at, 'iris', caller)).toBe(200)
      expect(await callPod(at, 'digits', caller)).toBe(403)
      expect(await callPod(at, 'iris', caller, '/v2/repository/models/iris/unload')).toBe(403)
    }
    expect(await callPod(at, 'iris', NEIGHBOUR)).toBe(403)
  })

  test('in ambient mode, the policy restricts only the caller', async () => {
    const at = await gateWith('standard, in an ambient mesh')
    expect(await callPod(at, 'iris', CONNECTOR)).toBe(200)
    expect(await callPod(at, 'digits', CONNECTOR)).toBe(403)
    expect(await callPod(at, 'iris', NEIGHBOUR)).toBe(403)
  })

  test("without a policy, the connector reaches a model in its own namespace: Kubeflow's profile allows it", async () => {
    const at = await gateWith('standard, in the mesh')
    expect(await callPod(at, 'digits', ['alice', 'inferwire'])).toBe(200)
  })
})

describe("with a policy for the connector's token", () => {
  test.each<WayName>(['standard, through the gateway', 'knative, through the gateway'])(
    'the token reaches one model through the gateway: %s',
    async (way) => {
      const at = await gateWith(way)
      const own = at.tokens.ofServiceAccount(...CONNECTOR)
      expect(await callGateway(at, 'iris', own)).toBe(200)
      expect(await callGateway(at, 'digits', own)).toBe(403)
      expect(await callGateway(at, 'iris', own, '/v2/repository/models/iris/unload')).toBe(403)
      expect(await callGateway(at, 'iris', at.tokens.ofServiceAccount(...NEIGHBOUR))).toBe(403)
      // The header is believed only from the gateway.
      const forged = { 'kubeflow-userid': 'system:serviceaccount:inferwire:inferwire' }
      expect(await callPod(at, 'iris', NEIGHBOUR, PREDICT, forged)).toBe(403)
    },
  )
})
