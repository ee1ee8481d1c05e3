// Turns a context of a kubeconfig into a target. Settings that would weaken or bypass TLS, and ways to authenticate that
// Kubernetes has removed, are refused with the reason.
import { z } from 'zod'
import { ExecPlugin, EXEC_SCHEMA } from './exec-plugin.ts'
import { configError, type KubeError } from './kube-error.ts'
import {
  parseEntry,
  pathIn,
  readKubeconfig,
  type KubeconfigContext,
  type KubeconfigEntry,
  type KubeconfigOptions,
} from './kubeconfig.ts'
import type { KubeLogin, KubeTarget } from './kube-target.ts'
import { checkedCertificates, checkedKey } from './pem.ts'
import { checkedToken, KeptFile } from './secret-text.ts'

export type { KubeconfigOptions } from './kubeconfig.ts'

const TEXT = z.string().nullish()
const CLUSTER = z.object({
  server: z.string(),
  'certificate-authority': TEXT,
  'certificate-authority-data': TEXT,
  'tls-server-name': TEXT,
  'insecure-skip-tls-verify': z.unknown().optional(),
  'proxy-url': TEXT,
  extensions: z.array(z.object({ name: z.string(), extension: z.unknown().optional() })).nullish(),
})
const USER = z.object({
  token: TEXT,
  tokenFile: TEXT,
  'client-certificate': TEXT,
  'client-certificate-data': TEXT,
  'client-key': TEXT,
  'client-key-data': TEXT,
  exec: EXEC_SCHEMA.nullish(),
  username: TEXT,
  password: TEXT,
  'auth-provider': z.unknown().optional(),
  as: TEXT,
  'as-uid': TEXT,
  'as-groups': z.unknown().optional(),
  'as-user-extra': z.unknown().optional(),
})

type ClusterValue = z.infer<typeof CLUSTER>
type UserValue = z.infer<typeof USER>
type Reader = () => string | undefined

/** Reads the context of a kubeconfig. @throws KubeError `InvalidConfig` */
export function kubeconfigTarget(options: KubeconfigOptions = {}): KubeTarget {
  const context = readKubeconfig(options)
  const cluster = parseEntry(CLUSTER, context.cluster.value, `cluster of context "${context.name}"`)
  const user = parseEntry(USER, context.user?.value ?? {}, `user of context "${context.name}"`)
  refuseCluster(cluster, context)
  refuseUser(user, context)
  const server = serverOf(cluster, context)
  const ca = readerOf(context.cluster, cluster, 'certificate-authority', checkedCertificates)
  const login = loginOf(user, context, ca, {
    server: cluster.server,
    'tls-server-name': cluster['tls-server-name'] ?? undefined,
    'certificate-authority-data': ca === undefined ? undefined : Buffer.from(ca() ?? '').toString('base64'),
    config: cluster.extensions?.find(({ name }) => name === 'client.authentication.k8s.io/exec')?.extension,
  })
  return {
    source: `context "${context.name}" of ${context.file}`,
    server,
    serverName: cluster['tls-server-name'] ?? undefined,
    namespace: context.namespace,
    ...login,
  }
}

function refuseCluster(cluster: ClusterValue, context: KubeconfigContext): void {
  const skip = cluster['insecure-skip-tls-verify']
  if (skip !== undefined && skip !== null && skip !== false) {
    throw refused(
      context.cluster,
      'sets insecure-skip-tls-verify, so that anyone on the network could read the token',
      'Remove it, and set certificate-authority to the certificate of the cluster, or tls-server-name to a name in it.',
    )
  }
  if (hasText(cluster['proxy-url'])) {
    throw refused(
      context.cluster,
      'sets proxy-url, which is not supported',
      'Use an address that is reachable directly.',
    )
  }
}

function refuseUser(user: UserValue, context: KubeconfigContext): void {
  const entry = context.user ?? context.cluster
  if (hasText(user.username) || hasText(user.password)) {
    throw refused(
      entry,
      'sets a user name or password, which no API server has accepted since Kubernetes 1.19',
      'Use a token, a client certificate or an exec plugin.',
    )
  }
  if (user['auth-provider'] !== undefined && user['auth-provider'] !== null) {
    throw refused(
      entry,
      'sets auth-provider, which Kubernetes 1.26 has removed',
      'Use the exec plugin of the provider, such as gke-gcloud-auth-plugin or kubelogin.',
    )
  }
  const impersonation = (['as', 'as-uid', 'as-groups', 'as-user-extra'] as const).find(
    (member) => user[member] !== undefined && user[member] !== null,
  )
  if (impersonation !== undefined) {
    throw refused(
      entry,
      `sets ${impersonation}: impersonation is not supported, and ignoring it would use more rights than intended`,
      'Use a token of that user or ServiceAccount: kubectl create token NAME.',
    )
  }
}

function refused({ file }: KubeconfigEntry, what: string, remedy: string): KubeError {
  return configError(`The kubeconfig "${file}" ${what}`, remedy)
}

function serverOf({ server }: ClusterValue, { cluster, name }: KubeconfigContext): URL {
  const url = URL.canParse(server) ? new URL(server) : undefined
  const isHttps = url?.protocol === 'https:'
  const isLocal = url?.protocol === 'http:' && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname)
  if (
    url !== undefined &&
    (isHttps || isLocal) &&
    url.username === '' &&
    url.password === '' &&
    url.search === '' &&
    url.hash === ''
  ) {
    return url
  }
  throw refused(
    cluster,
    `has a server of context "${name}" that is not an https:// address`,
    'Without TLS, only addresses of this machine are accepted, such as that of kubectl proxy.',
  )
}

function loginOf(
  user: UserValue,
  context: KubeconfigContext,
  ca: Reader | undefined,
  clusterInfo: Readonly<Record<string, unknown>>,
): Pick<KubeTarget, 'login' | 'renew'> {
  const entry = context.user ?? context.cluster
  const cert = readerOf(entry, user, 'client-certificate', checkedCertificates)
  const key = readerOf(entry, user, 'client-key', checkedKey)
  if ((cert === undefined) !== (key === undefined)) {
    throw refused(entry, 'sets only one of client-certificate and client-key', 'Set both.')
  }
  const token = tokenReader(user, entry)
  const read = (): KubeLogin => ({
    token: token?.(),
    tls: { ca: ca?.(), cert: cert?.(), key: key?.() },
  })
  // As with kubectl, a token takes precedence over a plugin.
  if (user.exec !== undefined && user.exec !== null && token === undefined) {
    return new ExecPlugin(user.exec, entry, clusterInfo, read)
  }
  // Reading now reports a missing file at startup.
  read()
  return {
    login: () => new Promise((resolve) => resolve(read())),
    renew: (old) =>
      new Promise((resolve) => {
        const { token: current, tls } = read()
        resolve(current !== old.token || tls.cert !== old.tls.cert)
      }),
  }
}

function tokenReader({ token, tokenFile }: UserValue, entry: KubeconfigEntry): Reader | undefined {
  if (hasText(tokenFile)) {
    const file = new KeptFile(pathIn(entry, tokenFile), 'The token file', checkedToken)
    return () => file.read()
  }
  if (!hasText(token)) return undefined
  const checked = checkedToken(token, `The token in "${entry.file}"`)
  return () => checked
}

// As with kubectl, data takes precedence over a file.
function readerOf<Name extends 'certificate-authority' | 'client-certificate' | 'client-key'>(
  entry: KubeconfigEntry,
  values: { readonly [Member in Name | `${Name}-data`]?: string | null | undefined },
  name: Name,
  check: (pem: string, what: string) => string,
): Reader | undefined {
  const data = values[`${name}-data`]
  if (hasText(data)) {
    const pem = check(Buffer.from(data, 'base64').toString('utf8'), `The ${name}-data in "${entry.file}"`)
    return () => pem
  }
  const path = values[name]
  if (!hasText(path)) return undefined
  const file = new KeptFile(pathIn(entry, path), `The ${name}`, check)
  return () => file.read()
}

function hasText(value: string | null | undefined): value is string {
  return value !== undefined && value !== null && value !== ''
}
