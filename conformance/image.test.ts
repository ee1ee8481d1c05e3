// Tests the image without a container engine: checks the Dockerfile, executes its steps in folders, and runs the result
// as in a pod.
import { once } from 'node:events'
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect } from '@inferwire/client'
import { bundledModels, startModelServer } from '@inferwire/model-server'
import { aclText } from '@inferwire/mosquitto'
import { beforeAll, describe, expect, test } from 'vitest'
import { freePort } from './fixtures/free-port.ts'
import { startMosquitto } from './fixtures/mosquitto.ts'
import { run } from './fixtures/processes.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { buildStage, copyContext } from './image/build.ts'
import { isIsolated, processFacts, startContainer, writableMounts } from './image/container.ts'
import { dockerfileMistakes, readStages } from './image/dockerfile.ts'
import { nodeProgram } from './image/node-program.ts'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const DOCKERFILE = readFileSync(join(ROOT, 'Dockerfile'), 'utf8')

describe('the Dockerfile', () => {
  test('has no mistakes', () => {
    expect(dockerfileMistakes(DOCKERFILE)).toEqual([])
  })

  test.each([
    [/^FROM \S+/m, 'FROM node:latest', 'not pinned'],
    [/^FROM \S+/m, 'FROM node', 'not pinned'],
    [/^USER .*/m, 'USER node', 'numeric'],
    [/^USER .*/m, '', 'runs as "root"'],
    [/^ENTRYPOINT .*/m, 'ENTRYPOINT node main.js', 'exec form'],
    [/^COPY LICENSE .*/m, 'ADD LICENSE ./', 'ADD'],
    [/^COPY LICENSE .*/m, 'COPY . ./', 'whole context'],
    [/^RUN npm ci/m, 'RUN npm install', 'npm ci'],
    [/^ENV .*/m, 'ENV API_TOKEN=x', 'secret'],
  ])('is rejected if %s is replaced with "%s"', (pattern, changed, what) => {
    expect(dockerfileMistakes(DOCKERFILE.replace(pattern, changed)).join('\n')).toContain(what)
  })

  test('has the same user and port as the manifests', () => {
    const manifest = readFileSync(join(ROOT, 'resources/inferwire/sts-inferwire.yaml'), 'utf8')
    expect(DOCKERFILE).toMatch(/^USER 65532:65532$/m)
    expect(manifest).toMatch(/runAsUser: 65532\n\s+runAsGroup: 65532/)
    expect(DOCKERFILE).toMatch(/^EXPOSE 8383$/m)
    expect(manifest).toContain('containerPort: 8383')
  })
})

describe("the image built from the Dockerfile's steps", () => {
  let image: string
  let node: string

  beforeAll(async () => {
    const stages = readStages(DOCKERFILE)
    const version = /^node:(\d+\.\d+\.\d+)-/.exec(stages.at(-1)!.base)![1]!
    const folder = tempFolder('image')
    const programs = join(folder, 'bin')
    mkdirSync(programs)
    // Every user can read this folder, whereas the cache folder may be private.
    node = join(programs, 'node')
    cpSync(await nodeProgram(version), node)
    chmodSync(node, 0o755)
    const context = join(folder, 'context')
    copyContext(ROOT, context)
    const options = { context, folder, programs }
    const [build, final] = stages
    await buildStage(build!, options)
    image = join(await buildStage(final!, options, true), 'opt/inferwire')
  }, 600_000)

  test('is small, and contains no files that only developers need', () => {
    const files = filesBelow(image)
    const bytes = files.reduce((sum, file) => sum + statSync(join(image, file)).size, 0)
    expect(bytes).toBeLessThan(40 * 1024 * 1024)
    expect(files.filter((file) => /\.(?:[cm]?ts|map|tsbuildinfo|tgz)$/.test(file))).toEqual([])
    const ours = files.filter((file) => /^node_modules\/(?:inferwire|@inferwire\/\w+)\//.test(file))
    expect(ours.filter((file) => /(?:\/src\/|\.test\.|\/testing\/|\/fixtures\/)/.test(file))).toEqual([])
    expect(files).toContain('LICENSE')
    expect(readdirSync(join(image, 'node_modules/@inferwire')).sort()).toEqual([
      'client',
      'connector',
      'kubernetes',
      'mosquitto',
      'protocol',
    ])
  })

  test("contains the lock file's versions of third-party packages, and lists all of these packages in its SBOM", () => {
    const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { version?: string; resolved?: string }>
    }
    const installed = filesBelow(join(image, 'node_modules'))
      .filter((file) => /^(?:@[^/]+\/)?[^/]+\/package\.json$/.test(file))
      .map((file) => {
        const manifest = JSON.parse(readFileSync(join(image, 'node_modules', file), 'utf8')) as Record<
          string,
          string
        >
        return { name: manifest['name']!, version: manifest['version']! }
      })
    expect(installed.length).toBeGreaterThan(40)
    for (const { name, version } of installed) {
      const { version: locked, resolved } = lock.packages[`node_modules/${name}`]!
      expect({ name, version }).toEqual({ name, version: locked ?? lock.packages[resolved!]!.version })
    }
    const sbom = JSON.parse(readFileSync(join(image, 'sbom.cdx.json'), 'utf8')) as {
      bomFormat: string
      components: { 'bom-ref': string }[]
    }
    expect(sbom.bomFormat).toBe('CycloneDX')
    const listed = sbom.components.map((component) => component['bom-ref'])
    expect(installed.filter(({ name, version }) => !listed.includes(`${name}@${version}`))).toEqual([])
  })

  test('is the same for every CPU architecture: it contains no native code', () => {
    const isNative = (file: string): boolean => {
      if (/\.(?:node|so|dylib|dll)(?:\.|$)/.test(file)) return true
      const start = readFileSync(join(image, file)).subarray(0, 4).toString('latin1')
      return start === '\x7fELF'
    }
    expect(filesBelow(image).filter(isNative)).toEqual([])
    expect(DOCKERFILE).toMatch(/^FROM --platform=\$BUILDPLATFORM \S+ AS build$/m)
  })

  test('does not install the development stack: the image contains no npm', async () => {
    const ended = await run(node, [join(image, 'node_modules/inferwire/bin/inferwire.js'), 'dev'], {
      env: { PATH: join(image, 'node_modules/.bin'), XDG_CACHE_HOME: tempFolder('cache') },
    })
    expect(ended.stderr).toContain('npm was not found in PATH')
    expect(ended.code).toBe(69)
  })

  test('runs as its user on a read-only file system, serves a request, and drains', async () => {
    const users = { inferwire: 'secret', cam7: 'c' }
    const broker = await startMosquitto({ users, acl: aclText() })
    const models = await startModelServer({ port: 0, models: bundledModels() })
    const adminPort = await freePort()
    const mounted = tempFolder('mounted')
    chmodSync(mounted, 0o755)
    writeFileSync(join(mounted, 'password'), 'secret\n', { mode: 0o444 })
    const config = {
      broker: { url: broker.url, username: 'inferwire', passwordFile: place(mounted, 'password') },
      models: { iris: { url: models.url } },
      admin: { port: adminPort },
    }
    writeFileSync(join(mounted, 'inferwire.yaml'), JSON.stringify(config), { mode: 0o444 })
    const child = startContainer(
      {
        image,
        node,
        mounted,
        args: ['connect', '--config', '/opt/mounted/inferwire.yaml'],
        env: {
          INFERWIRE_NAME: 'inferwire-0',
          NODE_OPTIONS: '--max-old-space-size=72',
          NODE_ENV: 'production',
        },
      },
      tempFolder('state'),
    )
    let log = ''
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (chunk: Buffer) => (log += chunk.toString('utf8')))
    }
    const ended = once(child, 'exit')
    const client = await connect(broker.url, { username: 'cam7', password: 'c' })
    try {
      await ready(
        `http://127.0.0.1:${adminPort}/readyz`,
        () => child.exitCode !== null,
        () => log,
      )
      expect(await client.predict('iris', [[6.8, 2.8, 4.8, 1.4]])).toEqual([1])
      // Only the restrictions that this machine permits are checked.
      if (isIsolated) {
        const facts = processFacts(child.pid!)
        expect(facts).toMatchObject({ Uid: '65532\t65532\t65532\t65532', NoNewPrivs: '1' })
        expect(facts['CapEff']).toMatch(/^0+$/)
        expect(facts['CapBnd']).toMatch(/^0+$/)
        expect(writableMounts(child.pid!)).toEqual(['/opt/state'])
      }
      expect(log).not.toMatch(/EROFS|EACCES|"level":(?:"error"|50)/)
    } finally {
      await client.close()
      child.kill('SIGTERM')
      expect(await ended, log).toEqual([0, null])
      await models.close()
      await broker.stop()
    }
  })
})

function place(mounted: string, name: string): string {
  return isIsolated ? `/opt/mounted/${name}` : join(mounted, name)
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
}

async function ready(url: string, isGone: () => boolean, log: () => string): Promise<void> {
  const until = Date.now() + 30_000
  for (;;) {
    const response = await fetch(url).catch(() => undefined)
    if (response?.ok === true) return
    if (isGone() || Date.now() > until) throw new Error(`The container did not become ready:\n${log()}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
