// Packs every package as for a release, installs it in an empty folder from a local registry, and runs it.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { afterTests } from './fixtures/after-tests.ts'
import { run, start, type CommandResult, type RunningCommand } from './fixtures/processes.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { manifestIn, startRegistry, type Manifest, type Registry } from './packages/registry.ts'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const VERSION = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest).version
const COMMAND = `inferwire-${VERSION}.tgz`
// Installing takes longer on a busy machine, and the first time, when npm downloads the ONNX runtime.
const INSTALL_TIMEOUT_MS = 300_000
const SLIM_KIB_MAX = 25 * 1024
const ANY_PORTS = ['--mqtt-port', '0', '--ws-port', '0', '--http-port', '0', '--admin-port', '0']

type Env = Readonly<Record<string, string>>

let packs: string
let registry: Registry
// The folder in which `inferwire` is installed.
let folder: string

beforeAll(async () => {
  packs = tempFolder('packs')
  const packed = await run(
    'node',
    [join(ROOT, 'scripts/pack.mjs'), packs, '--repository', 'https://example.org/r'],
    {
      timeoutMs: INSTALL_TIMEOUT_MS,
    },
  )
  expect(packed.code, packed.stderr).toBe(0)
  registry = await startRegistry(packs)
  afterTests(() => registry.close())
  folder = await install(join(packs, COMMAND))
}, INSTALL_TIMEOUT_MS)

describe('the packed packages', () => {
  test('have the same version, their license, a description, and the repository that built them', async () => {
    const names = readdirSync(packs)
    expect(names).toHaveLength(readdirSync(join(ROOT, 'packages')).length)
    for (const name of names) {
      const manifest = await manifestIn(join(packs, name))
      expect(manifest).toMatchObject({
        version: VERSION,
        license: 'Apache-2.0',
        description: expect.stringMatching(/\w+/) as string,
        repository: { type: 'git', url: 'https://example.org/r' },
      })
      expect(manifest).not.toHaveProperty('devDependencies')
      const { stdout } = await run('tar', ['tzf', join(packs, name)])
      const files = stdout.split('\n')
      expect(files).toEqual(expect.arrayContaining(['package/LICENSE', 'package/README.md']))
      expect(files.filter((file) => /\.test\.|\/src\/|\/testing\/|\.tsbuildinfo$|\.map$/.test(file))).toEqual(
        [],
      )
    }
  })

  test('have no mistakes in their exports and types, and publint and Are the types wrong find planted ones', async () => {
    const check = join(ROOT, 'scripts/check-packages.mjs')
    expect(await run('node', [check, packs])).toMatchObject({ code: 0, stderr: '' })
    const client = join(packs, `inferwire-client-${VERSION}.tgz`)
    const broken = tempFolder('broken')
    await run('tar', ['xzf', client, '-C', broken])
    const manifest = { ...(await manifestIn(client)), main: './dist/missing.js' }
    writeFileSync(join(broken, 'package/package.json'), JSON.stringify(manifest))
    rmSync(join(broken, 'package/dist/index.d.ts'))
    await run('tar', ['czf', join(broken, 'broken.tgz'), '-C', broken, 'package'])
    const ended = await run('node', [check, broken])
    expect(ended.stderr).toMatch(/broken\.tgz: publint: .*missing\.js/)
    expect(ended.stderr).toMatch(/broken\.tgz: types: .*UntypedResolution/)
    expect(ended.code).toBe(1)
  })
})

describe('inferwire, installed in an empty folder', () => {
  test('takes less than 25 MiB, contains no native code, and installs nothing else', async () => {
    expect(await installedKiB(folder)).toBeLessThan(SLIM_KIB_MAX)
    const modules = readdirSync(join(folder, 'node_modules')).filter((name) => !name.startsWith('.'))
    expect(modules).toEqual(['inferwire'])
    const files = readdirSync(join(folder, 'node_modules'), { recursive: true, encoding: 'utf8' })
    expect(files.filter((file) => /\.(?:node|so|wasm|onnx)$/.test(file))).toEqual([])
  })

  test('lists the bundled packages with version and license, as in the lock file', () => {
    const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { version?: string; license?: string }>
    }
    const installed = join(folder, 'node_modules/inferwire')
    const sbom = JSON.parse(readFileSync(join(installed, 'sbom.cdx.json'), 'utf8')) as {
      components: { name: string; version: string; licenses: { license: { id: string } }[] }[]
    }
    const licenses = readFileSync(join(installed, 'THIRD-PARTY-LICENSES'), 'utf8')
    const names = sbom.components.map(({ name }) => name)
    expect(names).toEqual(
      expect.arrayContaining(['commander', 'mqtt', 'pino', 'protobufjs', 'undici', 'ws', 'zod']),
    )
    for (const { name, version, licenses: declared } of sbom.components) {
      const locked = Object.entries(lock.packages).filter(([path]) => path.endsWith(`node_modules/${name}`))
      const [found] = locked.filter(([, entry]) => entry.version === version)
      expect(found?.[1].license, name).toBe(declared[0]!.license.id)
      expect(licenses).toContain(`${name} ${version} (${declared[0]!.license.id})`)
    }
  })

  test('runs with npx', async () => {
    const ended = await run('npx', ['--no', 'inferwire', 'version'], { cwd: folder })
    expect(ended).toMatchObject({ code: 0, stdout: `${VERSION}\n` })
  })

  test.each([
    [['help'], /manifests/],
    [['config', 'schema'], /"\$schema"/],
    [['manifests', '--only', 'connector', '--model', 'iris=http://iris'], /kind: StatefulSet/],
    [['topics', 'explain', 'infer/request/me/iris/predict'], /iris/],
    [['completion', 'bash'], /complete/],
  ])('runs inferwire %j', async (args, expected) => {
    const ended = await inferwire(args)
    expect(ended.stderr).toBe('')
    expect(ended.stdout).toMatch(expected)
    expect(ended.code).toBe(0)
  })
})

describe('npx inferwire dev, in an empty folder', () => {
  let cache: string
  let dev: RunningCommand
  let mqttPort: string

  beforeAll(async () => {
    cache = tempFolder('cache')
    // One command, in a folder in which nothing is installed.
    const empty = tempFolder('empty')
    const words = ['--yes', `--package=${registry.url}${COMMAND}`, 'inferwire', 'dev', ...ANY_PORTS]
    dev = start('npx', words, { cwd: empty, env: { ...registry.env, XDG_CACHE_HOME: cache } })
    await dev.said(/Ctrl-C stops/)
    mqttPort = /mqtt:\/\/127\.0\.0\.1:(\d+)/.exec(dev.stdout())![1]!
    await forgetNpxFolders()
  }, INSTALL_TIMEOUT_MS)

  test('installs the development stack into a cache folder, and makes a prediction', () => {
    expect(dev.stderr()).toContain(
      `Installing @inferwire/dev ${VERSION} in ${join(cache, `inferwire/dev-${VERSION}`)}`,
    )
    expect(dev.stdout()).toContain('that is: versicolor, versicolor')
    expect(registry.fetched).toContain('@inferwire/dev')
    expect(readdirSync(join(cache, 'inferwire'))).toEqual([`dev-${VERSION}`])
  })

  test('installs nothing when it starts again', async () => {
    const before = registry.fetched.length
    const again = startInstalled(['dev', ...ANY_PORTS], { ...registry.env, XDG_CACHE_HOME: cache })
    await again.said(/Ctrl-C stops/)
    again.signal('SIGINT')
    expect(await again.ended).toMatchObject({ code: 0, stderr: '' })
    expect(registry.fetched).toHaveLength(before)
  })

  test.each([
    ['v2', /Models +(\S+)/],
    // The package contains the definition of the gRPC messages as a file.
    ['grpc-v2', /gRPC +(\S+)/],
  ])(
    'the installed connect serves a model over %s, and the installed infer asks it',
    async (protocol, address) => {
      const url = address.exec(dev.stdout())![1]!
      const model = `iris-${protocol}=${url},modelName=iris,protocolVersion=${protocol}`
      const broker = `mqtt://127.0.0.1:${mqttPort}`
      const words = ['connect', '--broker', broker, '--model', model, '--admin-port', '0', '--name', protocol]
      const connector = startInstalled(words, { XDG_STATE_HOME: tempFolder('state') })
      await connector.said(/ready/)
      const body = '{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","data":[6.8,2.8,4.8,1.4]}]}'
      const ended = await inferwire(['infer', `iris-${protocol}`, '--broker', broker, '-d', body])
      expect(ended.stderr).toBe('')
      expect(ended.stdout).toContain('"outputs"')
      connector.signal('SIGTERM')
      expect((await connector.ended).code).toBe(0)
    },
  )

  test('an application imports the installed SDK, which takes less than 25 MiB', async () => {
    const application = await install('@inferwire/client')
    expect(await installedKiB(application)).toBeLessThan(SLIM_KIB_MAX)
    writeFileSync(
      join(application, 'first.mjs'),
      `import { connect } from '@inferwire/client'
      const client = await connect('mqtt://127.0.0.1:${mqttPort}')
      console.log(await client.predict('iris', [[6.8, 2.8, 4.8, 1.4]]))
      await client.close()`,
    )
    const ended = await run('node', ['first.mjs'], { cwd: application })
    expect(ended).toMatchObject({ code: 0, stdout: '[ 1 ]\n' })
  })
})

describe('inferwire dev, if the development stack cannot be installed,', () => {
  test('states the reason and the remedy if the registry has only another version', async () => {
    const other = await startRegistry(packs, { version: '9.9.9' })
    const cache = tempFolder('cache')
    const ended = await inferwire(['dev'], { ...other.env, XDG_CACHE_HOME: cache })
    await other.close()
    expect(ended.stderr).toContain('npm install ended with exit code')
    expect(ended.stderr).toContain(`npm install inferwire@${VERSION} @inferwire/dev@${VERSION}`)
    expect(ended.code).toBe(69)
    expect(readdirSync(join(cache, 'inferwire'))).toEqual([])
  })

  test('ends and leaves nothing behind after Ctrl-C, even if the registry does not answer', async () => {
    const hanging = await startRegistry(packs, { hangs: true })
    const cache = tempFolder('cache')
    const dev = startInstalled(['dev'], { ...hanging.env, XDG_CACHE_HOME: cache })
    await expect.poll(() => hanging.fetched.length, { timeout: 30_000 }).toBeGreaterThan(0)
    dev.signal('SIGINT')
    expect((await dev.ended).code).toBe(130)
    await hanging.close()
    expect(readdirSync(join(cache, 'inferwire'))).toEqual([])
  })
})

/** Installs a package in an empty folder. Returns the folder. */
async function install(what: string): Promise<string> {
  const folder = tempFolder('install')
  writeFileSync(join(folder, 'package.json'), '{}')
  const options = { cwd: folder, env: registry.env, timeoutMs: INSTALL_TIMEOUT_MS }
  const installed = await run('npm', ['install', '--no-audit', '--no-fund', what], options)
  expect(installed.code, installed.stderr).toBe(0)
  return folder
}

/** Returns the size on disk of what is installed in `folder`. */
async function installedKiB(folder: string): Promise<number> {
  const { stdout } = await run('du', ['-sk', join(folder, 'node_modules')])
  return Number.parseInt(stdout, 10)
}

/** Runs the installed command, as npx does. */
function inferwire(args: readonly string[], env: Env = {}): Promise<CommandResult> {
  return run(join(folder, 'node_modules/.bin/inferwire'), args, { cwd: folder, env })
}

/** Starts the installed command. */
function startInstalled(args: readonly string[], env: Env): RunningCommand {
  return start(join(folder, 'node_modules/.bin/inferwire'), args, { cwd: folder, env })
}

// npx keeps what it installs in npm's cache forever, and the address of this test's registry never occurs again.
async function forgetNpxFolders(): Promise<void> {
  const { stdout } = await run('npm', ['config', 'get', 'cache'])
  const folders = join(stdout.trim(), '_npx')
  for (const name of readdirSync(folders)) {
    const manifest = join(folders, name, 'package.json')
    if (existsSync(manifest) && readFileSync(manifest, 'utf8').includes(registry.url))
      rmSync(join(folders, name), { recursive: true })
  }
}
