// Reaches the API server from a pod, with the files of its ServiceAccount.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { configError } from './kube-error.ts'
import type { KubeLogin, KubeTarget } from './kube-target.ts'
import { checkedCertificates } from './pem.ts'
import { checkedToken, KeptFile, readText } from './secret-text.ts'

/** Where the kubelet mounts the ServiceAccount's files. */
const SERVICE_ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount'

/** Options of `inClusterTarget`. */
export interface InClusterOptions {
  /** @default process.env */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Folder with `token`, `ca.crt` and `namespace`. @default SERVICE_ACCOUNT_FOLDER */
  readonly folder?: string
}

/** Returns whether this process runs in a pod with a ServiceAccount. */
export function isInCluster({
  env = process.env,
  folder = SERVICE_ACCOUNT_FOLDER,
}: InClusterOptions = {}): boolean {
  return hasText(env['KUBERNETES_SERVICE_HOST']) && existsSync(join(folder, 'token'))
}

/** Reads the ServiceAccount's files. @throws KubeError `InvalidConfig`, `NoCredential` */
export function inClusterTarget({
  env = process.env,
  folder = SERVICE_ACCOUNT_FOLDER,
}: InClusterOptions = {}): KubeTarget {
  const server = serverOf(env)
  const tokens = new KeptFile(join(folder, 'token'), 'The token file', checkedToken)
  // Reading now reports a missing file at startup.
  tokens.read()
  const ca = new KeptFile(join(folder, 'ca.crt'), 'The CA file', checkedCertificates)
  ca.read()
  return {
    source: 'the ServiceAccount of this pod',
    server,
    serverName: undefined,
    namespace: namespaceOf(join(folder, 'namespace')),
    login: () =>
      Promise.resolve({ token: tokens.read(), tls: { ca: ca.read(), cert: undefined, key: undefined } }),
    renew: ({ token }: KubeLogin) => Promise.resolve(tokens.read() !== token),
  }
}

function serverOf(env: Readonly<Record<string, string | undefined>>): URL {
  const host = env['KUBERNETES_SERVICE_HOST']
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '443'
  if (!hasText(host)) {
    throw configError(
      'The environment variable KUBERNETES_SERVICE_HOST is not set',
      'Run in a pod, or use a kubeconfig.',
    )
  }
  const url = `https://${host.includes(':') ? `[${host}]` : host}:${port}`
  if (!/^[A-Za-z0-9.:[\]-]+$/.test(`${host}:${port}`) || !URL.canParse(url)) {
    throw configError(
      'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not a host and a port',
      'Remove them from the pod; the kubelet sets them.',
    )
  }
  return new URL(url)
}

// The pod's namespace is only a default, so a missing file is not a mistake.
function namespaceOf(file: string): string | undefined {
  if (!existsSync(file)) return undefined
  const name = readText(file, 'The namespace file').trim()
  return name === '' ? undefined : name
}

function hasText(value: string | undefined): value is string {
  return value !== undefined && value !== ''
}
