// Checks that the required programs are installed, and builds the packages and the programs in c/.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { output } from './child.mjs'
import { BUILD, ROOT } from './paths.mjs'

/** Required programs and headers, and the Debian packages that contain them. */
const NEEDS = [
  ['gcc', () => find('gcc') !== undefined],
  ['libmosquitto-dev', () => hasHeader('mosquitto.h')],
  ['libcurl4-openssl-dev', () => hasHeader('curl/curl.h')],
  ['nginx', () => find('nginx') !== undefined],
  ['mosquitto', () => find('mosquitto') !== undefined],
]

/**
 * Prepares a run of the benchmarks that use the programs in c/. Rejects with the command that installs missing packages.
 * @param {{ noBuild: boolean }} options
 */
export async function prepare({ noBuild }) {
  checkInstalled(NEEDS)
  process.stderr.write('Building …\n')
  mkdirSync(BUILD, { recursive: true })
  for (const name of ['load', 'connector', 'model']) {
    const source = join(ROOT, 'bench', 'c', `${name}.c`)
    const flags = ['-O2', '-Wall', '-Wextra', '-lmosquitto', '-lcurl']
    await output(find('gcc'), ['-o', join(BUILD, name), source, ...flags])
  }
  if (!noBuild) await build()
}

/** Prepares a run of the benchmarks that need only Mosquitto. */
export async function prepareBroker({ noBuild }) {
  checkInstalled(NEEDS.filter(([debianPackage]) => debianPackage === 'mosquitto'))
  mkdirSync(BUILD, { recursive: true })
  if (noBuild) return
  process.stderr.write('Building …\n')
  await build()
}

/**
 * Returns a program's path. Also searches the folders in which Debian installs servers, because a user's PATH does not
 * contain them.
 */
export function find(program) {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path))
}

/** Returns one line that describes the machine and the versions of the programs. */
export function describeMachine({ withNginx }) {
  const memoryKb = Number(/MemTotal:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1])
  return [
    `${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores, ${Math.round(memoryKb / 2 ** 20)} GB`,
    `Node.js ${process.versions.node}`,
    `Mosquitto ${version('mosquitto', ['-h'], /version (\S+)/)}`,
    ...(withNginx ? [`nginx ${version('nginx', ['-v'], /nginx\/(\S+)/)}`] : []),
  ].join('; ')
}

function checkInstalled(needs) {
  if (process.platform !== 'linux') throw new Error('The benchmark requires Linux, because it reads /proc.')
  const missing = needs.filter(([, isThere]) => !isThere()).map(([debianPackage]) => debianPackage)
  if (missing.length === 0) return
  throw new Error(
    `The benchmark needs ${missing.join(', ')}. Install: sudo apt-get install ${missing.join(' ')}`,
  )
}

// Builds the packages of this checkout.
async function build() {
  await output(process.execPath, [join(ROOT, 'node_modules', '.bin', 'tsc'), '-b'])
}

function hasHeader(header) {
  const compiler = find('gcc')
  if (compiler === undefined) return false
  return spawnSync(compiler, ['-fsyntax-only', '-include', header, '-x', 'c', '/dev/null']).status === 0
}

function version(program, args, pattern) {
  const { stdout, stderr } = spawnSync(find(program), args, { encoding: 'utf8' })
  return pattern.exec(stdout + stderr)?.[1] ?? 'of unknown version'
}
