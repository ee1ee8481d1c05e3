// Checks the release workflow with actionlint, and runs its steps as far as possible without GitHub and without a
// container engine. image.test.ts runs the Dockerfile's steps.
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { afterTests } from './fixtures/after-tests.ts'
import { cacheFolder } from './fixtures/cache-folder.ts'
import { run } from './fixtures/processes.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { startUploadRegistry, type UploadRegistry } from './packages/upload-registry.ts'

interface Step {
  readonly name?: string
  readonly uses?: string
  readonly run?: string
  readonly with?: Readonly<Record<string, unknown>>
}
interface Job {
  readonly steps: readonly Step[]
  readonly permissions: Readonly<Record<string, string>>
}
interface Workflow {
  readonly permissions: object
  readonly jobs: Readonly<Record<string, Job>>
}

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const WORKFLOW = readFileSync(join(ROOT, '.github/workflows/release.yaml'), 'utf8')
const workflow = parse(WORKFLOW) as Workflow
const steps = Object.values(workflow.jobs).flatMap((job) => job.steps)
const { version, scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  version: string
  scripts: Readonly<Record<string, string>>
}

describe('the release workflow', () => {
  test('has no mistakes', async () => {
    expect(await actionlint(WORKFLOW)).toBe('')
  })

  test.each([
    ['needs: test', 'needs: tests', 'needs job "tests"'],
    ['steps.build.outputs', 'steps.built.outputs', 'property "built" is not defined'],
    ['id-token: write', 'id-token: wrote', 'invalid as permission of scope "id-token"'],
    ['provenance: mode=max', 'provenence: mode=max', 'input "provenence" is not defined'],
  ])('is rejected if "%s" is replaced with "%s"', async (text, planted, mistake) => {
    expect(await actionlint(WORKFLOW.replace(text, planted))).toContain(mistake)
  })

  test('uses only actions that are pinned to a complete version, and grants nothing by default', () => {
    const actions = steps.flatMap(({ uses }) => uses ?? [])
    expect(actions.length).toBeGreaterThan(5)
    expect(actions.filter((action) => !/^[\w-]+\/[\w-]+@v\d+\.\d+\.\d+$/.test(action))).toEqual([])
    expect(workflow.permissions).toEqual({})
    for (const { permissions } of Object.values(workflow.jobs)) expect(permissions['contents']).toBe('read')
    const checkouts = steps.filter(({ uses }) => uses?.startsWith('actions/checkout@'))
    for (const { with: options } of checkouts) expect(options).toEqual({ 'persist-credentials': false })
  })

  test('runs only npm scripts and files that exist', () => {
    const commands = steps.flatMap(({ run: command }) => command ?? []).join('\n')
    const names = [...commands.matchAll(/npm (?:run )?(test|(?<=run )\w+)/g)].map(([, name]) => name!)
    const files = [...commands.matchAll(/(?:node |helm package )([\w./-]+)/g)].map(([, file]) => file!)
    expect(names).toEqual(['test', 'build'])
    expect(names.filter((name) => scripts[name] === undefined)).toEqual([])
    expect(files.filter((file) => file !== '-p' && !existsSync(join(ROOT, file)))).toEqual([])
    expect(files.length).toBeGreaterThan(2)
  })

  test('releases the image for both architectures with SBOM and provenance, and the packages with provenance', () => {
    const build = steps.find(({ uses }) => uses?.startsWith('docker/build-push-action@'))!
    expect(build.with).toMatchObject({
      platforms: 'linux/amd64,linux/arm64',
      sbom: true,
      provenance: 'mode=max',
    })
    expect(stepNamed('Publish with provenance').run).toMatch(/--provenance$/)
    expect(WORKFLOW.match(/cosign sign /g)).toHaveLength(2)
  })
})

describe("the release workflow's steps", () => {
  test('accept the tag of the version, and no other tag', async () => {
    const { run: command } = stepNamed('Compare the tag with the version in package.json')
    expect((await shellStep(command!, ROOT, { GITHUB_REF_NAME: `v${version}` })).code).toBe(0)
    expect((await shellStep(command!, ROOT, { GITHUB_REF_NAME: 'v9.9.9' })).code).not.toBe(0)
  })

  test('derive the version from the tag', async () => {
    const output = join(tempFolder('output'), 'output')
    const { run: command } = stepNamed('Derive the version from the tag')
    await shellStep(command!, ROOT, { GITHUB_REF_NAME: `v${version}`, GITHUB_OUTPUT: output })
    expect(readFileSync(output, 'utf8')).toBe(`version=${version}\n`)
  })

  test('pack a chart with the version and the image of the release', async () => {
    const folder = tempFolder('chart')
    cpSync(join(ROOT, 'charts'), join(folder, 'charts'), { recursive: true })
    const env = { REPOSITORY: 'registry.example.org/team/inferwire', VERSION: '7.8.9' }
    const image = await shellStep(stepNamed('Set the image of this release as the default').run!, folder, env)
    expect(image.code, image.stderr).toBe(0)
    const packed = await shellStep(stepNamed('Pack the chart').run!, folder, env)
    expect(packed.code, packed.stderr).toBe(0)
    const shown = await shellStep('helm template release inferwire-7.8.9.tgz', folder, env)
    expect(shown.stdout).toContain('image: registry.example.org/team/inferwire:7.8.9')
  })

  test('fail if the chart has no image to replace', async () => {
    const folder = tempFolder('chart')
    mkdirSync(join(folder, 'charts/inferwire'), { recursive: true })
    writeFileSync(join(folder, 'charts/inferwire/values.yaml'), 'image:\n  repository: other\n')
    const { run: command } = stepNamed('Set the image of this release as the default')
    const ended = await shellStep(command!, folder, { REPOSITORY: 'registry.example.org/inferwire' })
    expect(ended.code).not.toBe(0)
  })

  describe('publish', () => {
    let packs: string
    let registry: UploadRegistry

    beforeAll(async () => {
      packs = tempFolder('packs')
      const env = { GITHUB_SERVER_URL: 'https://example.org', GITHUB_REPOSITORY: 'team/inferwire' }
      const command = stepNamed('Pack').run!.replace(' packs ', ` ${packs} `)
      const packed = await shellStep(command, ROOT, env)
      expect(packed.code, packed.stderr).toBe(0)
      registry = await startUploadRegistry()
      afterTests(() => registry.close())
    })

    test('publishes every package after those that it needs, and continues an interrupted release', async () => {
      // GitHub signs the provenance, so that this option is left out here.
      const command = stepNamed('Publish with provenance')
        .run!.replace(' packs ', ` ${packs} `)
        .replace(' --provenance', '')
      const first = await shellStep(command, ROOT, registry.env)
      expect(first.code, first.stderr).toBe(0)
      const { published } = registry
      expect(published).toHaveLength(readdirSync(packs).length)
      expect(published.at(-1)).toBe('inferwire')
      const place = (name: string): number => published.indexOf(`@inferwire/${name}`)
      expect(place('protocol')).toBeLessThan(place('connector'))
      expect(place('model-server')).toBeLessThan(place('dev'))
      const rest = tempFolder('packs')
      for (const name of readdirSync(packs).slice(0, 2)) cpSync(join(packs, name), join(rest, name))
      const again = await shellStep(command.replace(packs, rest), ROOT, registry.env)
      expect(again.code, again.stderr).toBe(0)
      expect(again.stderr.match(/is already published/g)).toHaveLength(2)
    }, 180_000)
  })
})

function stepNamed(name: string): Step {
  const found = steps.find((step) => step.name === name)
  if (found === undefined) throw new Error(`release.yaml has no step "${name}"`)
  return found
}

/** Runs a step as GitHub does: with bash, which stops at the first failed command. */
function shellStep(command: string, cwd: string, env: Readonly<Record<string, string>>) {
  const programs = [join(cacheFolder(), 'kubectl-helm-2.0.1'), process.env['PATH']].join(':')
  return run('bash', ['-e', '-o', 'pipefail', '-c', command], {
    cwd,
    env: { ...env, PATH: programs },
    timeoutMs: 180_000,
  })
}

/** Returns the mistakes that actionlint finds. */
async function actionlint(text: string): Promise<string> {
  const program = join(cacheFolder(), 'actionlint-1.7.12/actionlint')
  if (!existsSync(program)) throw new Error(`${program} is missing. Run "npm test" once to build it.`)
  // actionlint knows the inputs of an action only for the tag of its major version.
  const input = text.replaceAll(/@(v\d+)\.\d+\.\d+$/gm, '@$1')
  const { stdout, stderr } = await run(program, ['-no-color', '-shellcheck=', '-pyflakes=', '-'], { input })
  return stdout + stderr
}
