// Brings what the tests need beside npm packages: Debian packages, and Python environments in a cache folder.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fail, ROOT, run, say } from './step.mjs'

/** Outside the checkout, so that a fresh clone does not pay again. */
export const CACHE =
  process.env.INFERWIRE_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'inferwire')

/** Programs and the Debian packages that bring them. */
const PROGRAMS = [
  ['mosquitto', 'mosquitto'],
  ['mosquitto_rr', 'mosquitto-clients'],
  ['python3', 'python3'],
]

/** Python environments: name, and the file that pins everything in them. */
const ENVIRONMENTS = [
  ['kserve', 'conformance/fixtures/kserve-server/constraints.txt'],
  ['paho', 'examples/python/requirements.txt'],
]

/** Installs what is missing, or ends with what to do by hand. */
export async function prepareMachine() {
  await debianPackages()
  for (const [name, requirements] of ENVIRONMENTS) await pythonEnvironment(name, join(ROOT, requirements))
}

async function debianPackages() {
  const missing = PROGRAMS.filter(([program]) => !found(program)).map(([, debianPackage]) => debianPackage)
  if (found('python3') && spawnSync('python3', ['-c', 'import venv, ensurepip']).status !== 0)
    missing.push('python3-venv')
  if (missing.length === 0) return
  const byHand = `Install them: sudo apt-get install ${missing.join(' ')}`
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  if (!found('apt-get') || (sudo.length > 0 && spawnSync('sudo', ['-n', 'true']).status !== 0)) {
    fail(`The tests need ${missing.join(', ')}, and this user cannot install packages. ${byHand}`)
  }
  say(`Installing Debian packages: ${missing.join(' ')} …`)
  const apt = async (...args) => {
    const [command, ...rest] = [...sudo, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq', ...args]
    return await run(command, rest)
  }
  await apt('update')
  // The package starts a broker on 1883; the tests bring their own.
  const hadMosquitto = found('mosquitto')
  const { code, output } = await apt('install', '-y', '--no-install-recommends', ...missing)
  if (code !== 0) fail(`apt-get install failed:\n${output}\n${byHand}`)
  if (!hadMosquitto && missing.includes('mosquitto')) {
    const [command, ...rest] = [...sudo, 'service', 'mosquitto', 'stop']
    await run(command, rest)
  }
}

// Debian keeps servers where the PATH of a user does not look.
function found(program) {
  return [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin'].some((folder) =>
    existsSync(join(folder, program)),
  )
}

async function pythonEnvironment(name, requirements) {
  const hash = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12)
  const folder = join(CACHE, `${name}-${hash}`)
  const stamp = join(folder, '.complete')
  if (existsSync(stamp)) return
  say(`Making the Python environment "${name}" in ${folder} (once; the KServe server takes a minute) …`)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(CACHE, { recursive: true })
  const made = await run('python3', ['-m', 'venv', folder])
  if (made.code !== 0)
    fail(`python3 -m venv failed:\n${made.output}\nInstall it: sudo apt-get install python3-venv`)
  const pip = await run(join(folder, 'bin', 'pip'), [
    'install',
    '--quiet',
    '--no-cache-dir',
    '--disable-pip-version-check',
    '-r',
    requirements,
  ])
  if (pip.code !== 0)
    fail(`pip install failed:\n${pip.output}\nCheck that this machine reaches a Python package index.`)
  writeFileSync(stamp, '')
}
