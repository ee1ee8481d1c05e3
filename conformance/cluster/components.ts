// Finds the cluster's programs in the cache folder, where scripts/kubernetes-tools.mjs and
// scripts/kserve-controller.mjs install them.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { cacheFolder } from '../fixtures/cache-folder.ts'
import { kubernetesClient } from '../manifests/clients.ts'
import KSERVE from './kserve/recipe.json' with { type: 'json' }

/** Paths of the programs. */
export interface Components {
  readonly etcd: string
  readonly kubeApiserver: string
  readonly kubeControllerManager: string
  readonly kubectl: string
  readonly helm: string
  readonly traefik: string
  /** Folder of KServe's manager, and of the objects that install it. */
  readonly kserve: string
}

// `npm test` builds the control plane in the background, which takes up to 15 minutes.
const BUILD_TIMEOUT_MS = 30 * 60_000
const LOCK_TIMEOUT_MS = 10_000

/** Finds the programs; waits for a build in progress. @throws if a program is missing, with the remedy */
export async function findComponents(): Promise<Components> {
  const kubernetes = await present(`kubernetes-1.36.3-${hashOf('go/go.mod', 'go/go.sum')}`)
  const kserve = await present(`kserve-controller-${KSERVE.version}-${hashOf('kserve/recipe.json')}`)
  const traefik = await present('traefik-3.7.15')
  return {
    etcd: join(kubernetes, 'etcd'),
    kubeApiserver: join(kubernetes, 'kube-apiserver'),
    kubeControllerManager: join(kubernetes, 'kube-controller-manager'),
    kubectl: kubernetesClient('kubectl'),
    helm: kubernetesClient('helm'),
    traefik: join(traefik, 'traefik'),
    kserve,
  }
}

function hashOf(...files: readonly string[]): string {
  const hash = createHash('sha256')
  for (const file of files) hash.update(readFileSync(new URL(file, import.meta.url)))
  return hash.digest('hex').slice(0, 12)
}

async function present(name: string): Promise<string> {
  const folder = join(cacheFolder(), name)
  const until = Date.now() + BUILD_TIMEOUT_MS
  let unlockedSince = Date.now()
  while (!existsSync(folder)) {
    if (existsSync(`${folder}.lock`)) unlockedSince = Date.now()
    if (Date.now() > until || Date.now() - unlockedSince > LOCK_TIMEOUT_MS) {
      throw new Error(`The Kubernetes tests need "${folder}". Run "npm test" once to create it.`)
    }
    await delay(500)
  }
  return folder
}
