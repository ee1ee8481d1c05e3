// Starts a cluster without containers: a real control plane, and stand-ins for the programs of a node.
import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { findComponents, type Components } from './components.ts'
import { startControlPlane } from './control-plane.ts'
import { applyCrds } from './crds.ts'
import type { KubeApi } from './kube-api.ts'
import type { CrdSchemas } from './kserve/chart.ts'
import { startKserve, type Kserve } from './kserve/controller.ts'
import { startKubelet, type Kubelet } from './node/kubelet.ts'
import { NODE_ADDRESS, setUpNodeNetwork } from './node/network.ts'
import { DNS_ADDRESS, startDns } from './stand-ins/dns.ts'
import { EXTERNAL_ADDRESS, startServiceProxy } from './stand-ins/service-proxy.ts'
import { startVolumeProvisioner } from './stand-ins/volume-provisioner.ts'
import { installTraefik } from './traefik.ts'

/** A running cluster with Traefik, KServe, and one node. */
export interface Cluster {
  readonly api: KubeApi
  readonly kubelet: Kubelet
  readonly kserve: Kserve
  readonly components: Components
  /** Environment in which `kubectl` and `helm` are in the PATH and use this cluster. */
  readonly env: Readonly<Record<string, string>>
  /** Returns the tail of every pod's log, for a failed test's message. */
  report(): string
  stop(): Promise<void>
}

// Number of characters of each container's log in a report.
const REPORT_CHARACTERS = 1500

/** Options of a cluster. */
export interface ClusterOptions {
  /** Definitions of KServe's kinds. @default minimal */
  readonly schemas?: CrdSchemas
}

/** Starts a cluster. Works only in a worker of own-network-pool.ts. */
export async function startCluster({ schemas = 'minimal' }: ClusterOptions = {}): Promise<Cluster> {
  const components = await findComponents()
  const folder = tempFolder('cluster')
  const nodeFolder = join(folder, 'node')
  mkdirSync(nodeFolder)
  await setUpNodeNetwork()
  const plane = await startControlPlane(components, folder, NODE_ADDRESS)
  const { api } = plane
  const stopping = new AbortController()
  const installed = startKserve(components, plane, folder, schemas)
  await applyCrds(api)
  await startServiceProxy(api, stopping.signal)
  await startDns(api, stopping.signal)
  await startVolumeProvisioner(api, join(folder, 'volumes'), stopping.signal)
  const kubelet = await startKubelet({
    api,
    folder: nodeFolder,
    traefik: components.traefik,
    dns: DNS_ADDRESS,
  })
  await installTraefik(api)
  await nameTraefik(folder)
  const kserve = await installed
  return {
    api,
    kubelet,
    kserve,
    components,
    env: {
      KUBECONFIG: plane.kubeconfig,
      PATH: [dirname(components.kubectl), process.env['PATH'], '/usr/sbin'].join(delimiter),
      // Keeps the user's own configuration out of the tests.
      HELM_CACHE_HOME: join(folder, 'helm'),
      HELM_CONFIG_HOME: join(folder, 'helm'),
      HELM_DATA_HOME: join(folder, 'helm'),
    },
    report: () => kubelet.logs(/./, /./, REPORT_CHARACTERS),
    stop: async () => {
      await kubelet.stop()
      stopping.abort()
      await kserve.stop()
      await plane.stop()
    },
  }
}

// Makes the host name that the documentation uses resolve to Traefik, in this mount namespace only.
async function nameTraefik(folder: string): Promise<void> {
  const file = join(folder, 'hosts')
  writeFileSync(file, `127.0.0.1 localhost\n${EXTERNAL_ADDRESS} mqtt.example.org\n`)
  await promisify(execFile)('mount', ['--bind', file, '/etc/hosts'])
}
