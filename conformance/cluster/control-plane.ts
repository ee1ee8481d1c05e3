// Starts etcd, kube-apiserver and kube-controller-manager, with new certificates.
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { spawnTied } from '../fixtures/processes.ts'
import type { Components } from './components.ts'
import { KubeApi } from './kube-api.ts'

/** A running control plane. */
export interface ControlPlane {
  readonly api: KubeApi
  /** Path of the kubeconfig file for kubectl and helm. The file grants full access. */
  readonly kubeconfig: string
  /** Returns a kubeconfig file for another token. */
  kubeconfigText(token: string): string
  /** Certificate of the API server's certificate authority. */
  readonly ca: Buffer
  /** Kills the API server, and starts it again after `whileDown`. Resolves when it is ready. */
  restartApiServer(whileDown?: () => Promise<void>): Promise<void>
  stop(): Promise<void>
}

/** Range of the Services' addresses. */
const SERVICE_RANGE = '10.96.0.0/16'
/** Address of the Service `kubernetes`, the first address of the range. */
const API_SERVICE_ADDRESS = '10.96.0.1'
const START_TIMEOUT_MS = 60_000

/**
 * Starts a control plane with its data in `folder`. `address` is the node's address, at which pods reach the API
 * server.
 */
export async function startControlPlane(
  components: Components,
  folder: string,
  address: string,
): Promise<ControlPlane> {
  const files = await makeCertificates(folder, address)
  const token = randomBytes(16).toString('hex')
  writeFileSync(join(folder, 'tokens.csv'), `${token},admin,admin,system:masters\n`)
  const kubeconfig = join(folder, 'kubeconfig')
  writeFileSync(kubeconfig, kubeconfigText(files.ca, token))

  const stopEtcd = startEtcd(components, folder)
  let stopApiServer = startApiServer(components, folder, address)
  const ca = readFileSync(files.ca)
  const api = new KubeApi('https://127.0.0.1:6443', ca, token)
  await becomesReady(api, folder)
  const stopControllerManager = startControllerManager(components, folder, kubeconfig)
  await serviceAccountsAreMade(api)
  return {
    api,
    kubeconfig,
    kubeconfigText: (other) => kubeconfigText(files.ca, other),
    ca,
    restartApiServer: async (whileDown) => {
      await stopApiServer()
      await whileDown?.()
      stopApiServer = startApiServer(components, folder, address)
      await becomesReady(api, folder)
    },
    stop: async () => {
      api.close()
      await Promise.all([stopControllerManager(), stopApiServer(), stopEtcd()])
    },
  }
}

async function makeCertificates(folder: string, address: string): Promise<{ readonly ca: string }> {
  const openssl = (...args: string[]) => promisify(execFile)('openssl', args, { cwd: folder })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  await openssl(...`req -x509 -days 7 -subj /CN=ca -keyout ca.key -out ca.crt`.split(' '), ...key)
  await openssl(...'req -subj /CN=kube-apiserver -keyout api.key -out api.csr'.split(' '), ...key)
  const names = [
    'IP:127.0.0.1',
    `IP:${address}`,
    `IP:${API_SERVICE_ADDRESS}`,
    'DNS:localhost',
    'DNS:kubernetes.default.svc',
  ]
  writeFileSync(join(folder, 'api.ext'), `subjectAltName=${names.join(',')}\nextendedKeyUsage=serverAuth\n`)
  const sign = 'x509 -req -in api.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 7 -extfile api.ext'
  await openssl(...sign.split(' '), '-out', 'api.crt')
  await openssl('genrsa', '-out', 'sa.key', '2048')
  await openssl('rsa', '-in', 'sa.key', '-pubout', '-out', 'sa.pub')
  return { ca: join(folder, 'ca.crt') }
}

function kubeconfigText(ca: string, token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server: 'https://127.0.0.1:6443', 'certificate-authority': ca } }],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    'current-context': 'test',
  })
}

function startEtcd({ etcd }: Components, folder: string): () => Promise<void> {
  return startLogged(etcd, join(folder, 'etcd.log'), [
    '--name=test',
    `--data-dir=${join(folder, 'etcd')}`,
    '--listen-client-urls=http://127.0.0.1:2379',
    '--advertise-client-urls=http://127.0.0.1:2379',
    '--listen-peer-urls=http://127.0.0.1:2380',
    '--initial-advertise-peer-urls=http://127.0.0.1:2380',
    '--initial-cluster=test=http://127.0.0.1:2380',
    // etcd need not sync its data to disk, because the data is deleted after the test.
    '--unsafe-no-fsync',
  ])
}

// The server listens on all addresses, but only this network namespace can reach them.
function startApiServer(components: Components, folder: string, address: string): () => Promise<void> {
  const file = (name: string): string => join(folder, name)
  return startLogged(components.kubeApiserver, file('kube-apiserver.log'), [
    '--etcd-servers=http://127.0.0.1:2379',
    '--bind-address=0.0.0.0',
    `--advertise-address=${address}`,
    '--secure-port=6443',
    `--tls-cert-file=${file('api.crt')}`,
    `--tls-private-key-file=${file('api.key')}`,
    `--client-ca-file=${file('ca.crt')}`,
    `--token-auth-file=${file('tokens.csv')}`,
    '--authorization-mode=RBAC',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${file('sa.pub')}`,
    `--service-account-signing-key-file=${file('sa.key')}`,
    `--service-cluster-ip-range=${SERVICE_RANGE}`,
    '--allow-privileged=true',
  ])
}

// Disables address allocation for nodes, and the node-lifecycle controller, because the node has no heartbeat.
function startControllerManager(
  { kubeControllerManager }: Components,
  folder: string,
  kubeconfig: string,
): () => Promise<void> {
  return startLogged(kubeControllerManager, join(folder, 'kube-controller-manager.log'), [
    `--kubeconfig=${kubeconfig}`,
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
    '--bind-address=127.0.0.1',
    '--secure-port=10257',
    '--leader-elect=false',
    `--service-account-private-key-file=${join(folder, 'sa.key')}`,
    `--root-ca-file=${join(folder, 'ca.crt')}`,
    '--controllers=*,-node-lifecycle-controller,-taint-eviction-controller,-node-ipam-controller',
  ])
}

function startLogged(program: string, logFile: string, args: readonly string[]): () => Promise<void> {
  const log = openSync(logFile, 'a')
  const child = spawnTied(program, args, { stdio: ['ignore', log, log] })
  closeSync(log)
  return async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }
}

async function becomesReady(api: KubeApi, folder: string): Promise<void> {
  const until = Date.now() + START_TIMEOUT_MS
  while (Date.now() < until) {
    if ((await api.get('/readyz').catch(() => '')) === 'ok') return
    await delay(50)
  }
  const log = readFileSync(join(folder, 'kube-apiserver.log'), 'utf8')
  throw new Error(`kube-apiserver did not become ready:\n${log.slice(-3000)}`)
}

// The controller manager is ready when the namespace "default" has its ServiceAccount.
async function serviceAccountsAreMade(api: KubeApi): Promise<void> {
  const until = Date.now() + START_TIMEOUT_MS
  for (;;) {
    try {
      await api.get('/api/v1/namespaces/default/serviceaccounts/default')
      return
    } catch (error) {
      if (Date.now() > until) throw error
    }
    await delay(50)
  }
}
