// Kubeflow's gate in front of pods: the ingress gateway, the pods' sidecars, and a sidecar of the connector, as one Envoy.
// Limits: no istiod and no Kubernetes. The policies are rendered by authorization-policy.ts and envoy-config.ts.
import { createServer } from 'node:http'
import { type AddressInfo } from 'node:net'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { selects, type AuthorizationPolicy } from './authorization-policy.ts'
import { MeshAuthority, type CertificateFiles } from './certificates.ts'
import {
  cluster,
  gatewayFilters,
  listener,
  podRules,
  routesTo,
  virtualHost,
  type TrustedIssuer,
} from './envoy-config.ts'
import { envoyPorts, startEnvoy } from './envoy.ts'
import { LoginStub, type LoginReply } from './login-stub.ts'
import { CLUSTER, DEX, TokenIssuer } from './tokens.ts'

/** A model server behind a sidecar, in the namespace `alice`. */
export interface Pod {
  /** Port of the HTTP server on loopback. */
  readonly port: number
  /** The host by which the gateway finds the pod. @default hostOf(name) */
  readonly host?: string
  /** Port of the gRPC server (h2c). @default none */
  readonly grpcPort?: number
  /** @default STRICT: only connections with mTLS */
  readonly mtls?: 'STRICT' | 'PERMISSIVE'
}

/** Options of `startGate`. */
export interface GateOptions {
  /** The pods, by the name of their InferenceService. */
  readonly pods: Readonly<Record<string, Pod>>
  /** Policies in the namespace `alice`, in addition to the profile's own. */
  readonly policies?: readonly AuthorizationPolicy[]
  /** Issuers in addition to Dex and to the cluster, whose tokens `tokens` issues. */
  readonly issuers?: readonly TrustedIssuer[]
  /** Whether tokens of the cluster are accepted, as with Kubeflow's m2m overlays. @default true */
  readonly acceptsServiceAccounts?: boolean
  /** @default page */
  readonly login?: LoginReply
  /** A login service to ask instead of the stub: its port on loopback. */
  readonly loginPort?: number
}

/** A running gate. */
export interface Gate {
  /** The ingress gateway. */
  readonly url: string
  /** An ingress gateway that removes `x-envoy-upstream-service-time` from all answers. */
  readonly strippedUrl: string
  /** An ingress gateway with a limit of 8 KiB on the header fields of a request. */
  readonly narrowUrl: string
  /** The sidecar of a connector outside the namespace `alice`; it forwards every call to the ingress gateway. */
  readonly sidecarUrl: string
  /** Port of a pod's sidecar, for a connector that calls the pod without the gateway. */
  readonly podPort: Readonly<Record<string, number>>
  /** Issues tokens of Dex and of the cluster that the gateway accepts. */
  readonly tokens: TokenIssuer
  /** Identifies the connector to sidecars, as its own sidecar would: a ServiceAccount in the namespace `alice`. */
  readonly ownCertificate: CertificateFiles
  /** Returns the certificate with which a workload's sidecar would identify itself to other sidecars. */
  certificateOf(namespace: string, serviceAccount: string): CertificateFiles
  /** The mesh's authority. */
  readonly ca: string
  readonly login: LoginStub
  stop(): Promise<void>
}

/** The namespace of all pods. */
const NAMESPACE = 'alice'
/** The owner of the namespace's Kubeflow profile. */
export const OWNER = 'alice@example.com'

/** Hosts with a fault, in addition to `hostOf(pod)`. */
export const FAULTY = {
  /** The route to the first pod has a timeout of one second. */
  slow: 'slow.alice.example.com',
  /** The pod's port refuses connections. */
  down: 'down.alice.example.com',
  /** There is no pod. */
  noPod: 'nopod.alice.example.com',
  /** The route to the first pod's server admits one call. */
  busy: 'busy.alice.example.com',
  /** The gateway calls the first pod without mTLS. */
  plaintext: 'plaintext.alice.example.com',
  /** Every path except those of models leads to Kubeflow's dashboard. */
  dashboard: 'kubeflow.example.com',
  /** No route. */
  unknown: 'unknown.alice.example.com',
} as const

const GATEWAY = ['istio-system', 'istio-ingressgateway-service-account'] as const
const SERVICE_TIME = 'x-envoy-upstream-service-time'

/** Returns the host of an InferenceService. */
export function hostOf(pod: string): string {
  return `${pod}.${NAMESPACE}.example.com`
}

/** Returns the labels of an InferenceService's pod, which a policy's selector matches. */
function podLabels(pod: string): Readonly<Record<string, string>> {
  return { 'serving.kserve.io/inferenceservice': pod, app: `isvc.${pod}-predictor`, component: 'predictor' }
}

/** The policy that Kubeflow's profile controller creates in every profile's namespace. */
const PROFILE_POLICY: AuthorizationPolicy = {
  metadata: { name: 'ns-owner-access-istio', namespace: NAMESPACE },
  spec: {
    action: 'ALLOW',
    rules: [
      {
        from: [{ source: { principals: [`cluster.local/ns/${GATEWAY[0]}/sa/${GATEWAY[1]}`] } }],
        when: [{ key: 'request.headers[kubeflow-userid]', values: [OWNER] }],
      },
      { from: [{ source: { namespaces: [NAMESPACE] } }] },
      { to: [{ operation: { paths: ['/healthz', '/metrics', '/wait-for-drain'] } }] },
    ],
  },
}

/** Starts the gate. */
export async function startGate(options: GateOptions): Promise<Gate> {
  const { pods, policies = [], acceptsServiceAccounts = true } = options
  const names = Object.keys(pods)
  const authority = new MeshAuthority(tempFolder('mesh'))
  const gatewayCertificate = authority.issue(...GATEWAY)
  const podCertificate = authority.issue(NAMESPACE, 'default-editor')
  const tokens = new TokenIssuer()
  const login = await LoginStub.start(options.login ?? 'page')
  const dashboard = await startDashboard()
  const [gateway, stripped, narrow, sidecar, closed, ...podPorts] = await envoyPorts(5 + names.length)
  const podPort = Object.fromEntries(names.map((name, index) => [name, podPorts[index]!]))
  const first = pods[names[0]!]!
  const issuers: TrustedIssuer[] = [
    { issuer: DEX, keys: tokens.jwks, userClaim: 'email' },
    ...(acceptsServiceAccounts ? [{ issuer: CLUSTER, keys: tokens.jwks, userClaim: 'sub' }] : []),
    ...(options.issuers ?? []),
  ]
  const toPod = { own: gatewayCertificate, ca: authority.ca }
  const ingress = { filters: gatewayFilters(issuers), hosts: gatewayHosts(pods) }
  const envoy = await startEnvoy({
    listeners: [
      listener({ name: 'gateway', port: gateway!, ...ingress }),
      listener({ name: 'stripped', port: stripped!, ...ingress, hidden: [SERVICE_TIME] }),
      listener({ name: 'narrow', port: narrow!, ...ingress, headersKbMax: 8 }),
      listener({
        name: 'sidecar',
        port: sidecar!,
        filters: [],
        hosts: [virtualHost('all', ['*'], routesTo('gateway'))],
      }),
      ...names.map((name) =>
        listener({
          name: `pod-${name}`,
          port: podPort[name]!,
          filters: podRules(
            [PROFILE_POLICY, ...policies].filter((policy) => selects(policy, podLabels(name))),
          ),
          hosts: [virtualHost('app', ['*'], routesTo(`app-${name}`))],
          mtls: {
            own: podCertificate,
            ca: authority.ca,
            isPermissive: pods[name]!.mtls === 'PERMISSIVE',
          },
        }),
      ),
    ],
    clusters: [
      cluster({ name: 'login', port: options.loginPort ?? login.port }),
      cluster({ name: 'dashboard', port: dashboard.port }),
      ...both('gateway', gateway!),
      ...both('down', closed!),
      ...both('nopod', 0),
      ...both('plaintext', podPort[names[0]!]!),
      cluster({ name: 'busy', port: first.port, isNarrow: true }),
      cluster({ name: 'busy-h2', port: first.grpcPort ?? first.port, isHttp2: true, isNarrow: true }),
      ...names.flatMap((name) => [
        ...both(`pod-${name}`, podPort[name]!, { mtls: toPod }),
        cluster({ name: `app-${name}`, port: pods[name]!.port }),
        cluster({ name: `app-${name}-h2`, port: pods[name]!.grpcPort ?? closed!, isHttp2: true }),
      ]),
    ],
  })
  return {
    url: at(gateway),
    strippedUrl: at(stripped),
    narrowUrl: at(narrow),
    sidecarUrl: at(sidecar),
    podPort,
    tokens,
    ownCertificate: authority.issue(NAMESPACE, 'inferwire'),
    certificateOf: (namespace, serviceAccount) => authority.issue(namespace, serviceAccount),
    ca: authority.ca,
    login,
    stop: async () => {
      await envoy.stop()
      await Promise.all([login.stop(), dashboard.stop()])
    },
  }
}

// One cluster for HTTP/1.1, and one for HTTP/2.
function both(name: string, port: number, rest: object = {}): object[] {
  return [cluster({ name, port, ...rest }), cluster({ name: `${name}-h2`, port, isHttp2: true, ...rest })]
}

function at(port: number | undefined): string {
  return `http://127.0.0.1:${port}`
}

function gatewayHosts(pods: GateOptions['pods']): object[] {
  const names = Object.keys(pods)
  const first = `pod-${names[0]}`
  const paths = names.flatMap((name) =>
    routesTo(`pod-${name}`, { pathPrefix: `/serving/${NAMESPACE}/${name}` }),
  )
  return [
    ...names.map((name) => virtualHost(name, [pods[name]!.host ?? hostOf(name)], routesTo(`pod-${name}`))),
    virtualHost('slow', [FAULTY.slow], routesTo(first, { timeout: '1s' })),
    virtualHost('down', [FAULTY.down], routesTo('down')),
    virtualHost('nopod', [FAULTY.noPod], routesTo('nopod')),
    virtualHost('busy', [FAULTY.busy], routesTo('busy')),
    virtualHost('plaintext', [FAULTY.plaintext], routesTo('plaintext')),
    virtualHost(
      'kubeflow',
      [FAULTY.dashboard],
      [...paths, { match: { prefix: '/' }, route: { cluster: 'dashboard' } }],
    ),
    virtualHost('path', ['*'], paths),
  ]
}

// Stands in for Kubeflow's central dashboard, an Express server. Limits: only these two answers, which are assumed.
async function startDashboard(): Promise<{ port: number; stop: () => Promise<void> }> {
  const server = createServer(({ method, url }, response) => {
    const isPage = method === 'GET'
    response.writeHead(isPage ? 200 : 404, {
      'content-type': 'text/html; charset=utf-8',
      'x-powered-by': 'Express',
    })
    response.end(
      isPage
        ? '<!DOCTYPE html><html><head><title>Kubeflow Central Dashboard</title></head></html>'
        : `<!DOCTYPE html>\n<html lang="en">\n<body>\n<pre>Cannot ${method} ${url}</pre>\n</body>\n</html>\n`,
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const stop = async (): Promise<void> => {
    await new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  }
  return { port, stop }
}
