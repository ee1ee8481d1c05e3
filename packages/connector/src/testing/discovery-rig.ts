// A cluster for tests: a stand-in for the API server, a kubeconfig for it, and one model server behind a gateway.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConfigInput } from '../config/index.ts'
import { ApiServer } from '../discovery/kube/testing/api-server.ts'

/** The domain of the hosts behind the gateway. */
export const DOMAIN = 'example.com'

/** The cluster. */
export interface TestCluster {
  readonly api: ApiServer
  readonly server: Server
  /** Paths that the model server received, each with the Host header. */
  readonly calls: string[]
  /** The Authorization header of each of these calls. */
  readonly tokens: (string | undefined)[]
  /** The section `discovery` that leads to the cluster. */
  readonly discovery: NonNullable<ConfigInput['discovery']>
  /** Creates or changes an InferenceService. */
  put(namespace: string, name: string, options?: ServiceOptions): void
  close(): Promise<void>
}

/** Options of an InferenceService. */
export interface ServiceOptions {
  readonly isReady?: boolean
  readonly annotations?: Readonly<Record<string, string>>
}

/** Starts the cluster. The model server answers every V1 and V2 call. */
export async function startTestCluster(): Promise<TestCluster> {
  const api = new ApiServer()
  await api.start()
  const calls: string[] = []
  const tokens: (string | undefined)[] = []
  const server = createServer((request, response) => {
    calls.push(`${request.headers.host}${request.url}`)
    tokens.push(request.headers.authorization)
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ predictions: [1] }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const folder = mkdtempSync(join(tmpdir(), 'inferwire-cluster-'))
  const kubeconfig = join(folder, 'kubeconfig')
  writeFileSync(kubeconfig, kubeconfigOf(api.url), { mode: 0o600 })
  return {
    api,
    server,
    calls,
    tokens,
    discovery: {
      enabled: true,
      namespaces: ['models', 'vision'],
      defaultNamespace: 'models',
      kubeconfig,
      gateway: {
        url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        domain: DOMAIN,
      },
    },
    put: (namespace, name, options) => {
      api.put(namespace, name, inferenceService(namespace, name, options))
    },
    close: async () => {
      await api.stop()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      rmSync(folder, { recursive: true })
    },
  }
}

function kubeconfigOf(url: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    clusters: [{ name: 'test', cluster: { server: url } }],
    users: [{ name: 'test', user: {} }],
  })
}

function inferenceService(
  namespace: string,
  name: string,
  { isReady = true, annotations = {} }: ServiceOptions = {},
): Parameters<ApiServer['put']>[2] {
  return {
    apiVersion: 'serving.kserve.io/v1beta1',
    kind: 'InferenceService',
    metadata: { annotations: { 'inferwire.io/expose': 'true', ...annotations } },
    spec: { predictor: { model: { modelFormat: { name: 'sklearn' }, protocolVersion: 'v1' } } },
    status: {
      url: `http://${name}-${namespace}.${DOMAIN}`,
      conditions: [
        {
          type: 'PredictorReady',
          status: isReady ? 'True' : 'False',
          ...(isReady ? {} : { reason: 'MinimumReplicasUnavailable' }),
        },
        { type: 'Ready', status: isReady ? 'True' : 'False' },
      ],
    },
  }
}
