import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  cacheFolder,
  checkStackVersion,
  fetchStack,
  isStackMissing,
  type FetchOptions,
} from './fetch-stack.ts'

let cache: string
let reports: string[]

beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'inferwire-fetch-'))
  reports = []
})

afterEach(() => rmSync(cache, { recursive: true }))

// Takes the place of npm: a shell script. conformance/packages.test.ts uses npm.
function npm(script: string): string {
  const file = join(cache, 'npm')
  writeFileSync(file, `#!/bin/sh\n${script}\n`)
  chmodSync(file, 0o755)
  return file
}

const installs = (version: string): string => `
  mkdir -p node_modules/@inferwire/dev
  echo '{"version":"${version}","type":"module","exports":"./index.js"}' > node_modules/@inferwire/dev/package.json
  echo 'export const answer = 42' > node_modules/@inferwire/dev/index.js`

function options(script: string): FetchOptions {
  return {
    version: '1.2.3',
    cache: join(cache, 'of user'),
    npm: npm(script),
    report: (text) => reports.push(text),
  }
}

test('installs exactly the version of the command once, without running scripts of packages', async () => {
  const first = options(`${installs('1.2.3')}\ncp package.json ${cache}/asked\necho "$@" > ${cache}/words`)
  expect(await fetchStack(first)).toMatchObject({ answer: 42 })
  expect(JSON.parse(readFileSync(join(cache, 'asked'), 'utf8'))).toEqual({
    private: true,
    dependencies: { '@inferwire/dev': '1.2.3' },
  })
  expect(readFileSync(join(cache, 'words'), 'utf8')).toContain('--ignore-scripts')
  expect(reports).toHaveLength(1)
  expect(await fetchStack(options('exit 1'))).toMatchObject({ answer: 42 })
  expect(reports).toHaveLength(1)
  expect(readdirSync(join(cache, 'of user'))).toEqual(['dev-1.2.3'])
})

test.each([
  ['exit 7', 'npm install ended with exit code 7'],
  [installs('1.2.4'), 'npm did not install @inferwire/dev 1.2.3'],
  ['true', 'npm did not install @inferwire/dev 1.2.3'],
])('after "%s" states that %s, and leaves nothing behind', async (script, reason) => {
  await expect(fetchStack(options(script))).rejects.toMatchObject({
    name: 'CliError',
    exitCode: 69,
    message: expect.stringContaining(reason) as string,
    remedy: expect.stringContaining('npm install inferwire@1.2.3 @inferwire/dev@1.2.3') as string,
  })
  expect(readdirSync(join(cache, 'of user'))).toEqual([])
})

test('states that npm is missing', async () => {
  const missing = { ...options(''), npm: join(cache, 'no-npm') }
  await expect(fetchStack(missing)).rejects.toThrow('npm was not found in PATH')
})

test('uses the installation of another process that was faster', async () => {
  const folder = join(cache, 'of user/dev-1.2.3')
  const race = `${installs('1.2.3')}\nmkdir '${folder}'\ncp -r node_modules '${folder}'`
  expect(await fetchStack(options(race))).toMatchObject({ answer: 42 })
  expect(readdirSync(join(cache, 'of user'))).toEqual(['dev-1.2.3'])
})

test('installs again if the folder is damaged', async () => {
  await fetchStack(options(installs('1.2.3')))
  rmSync(join(cache, 'of user/dev-1.2.3/node_modules/@inferwire/dev/package.json'))
  expect(await fetchStack(options(installs('1.2.3')))).toMatchObject({ answer: 42 })
  expect(reports).toHaveLength(2)
})

test('names the folder of an installation that cannot be loaded', async () => {
  const broken = `${installs('1.2.3')}\nrm node_modules/@inferwire/dev/index.js`
  await expect(fetchStack(options(broken))).rejects.toMatchObject({
    message: `@inferwire/dev in ${join(cache, 'of user/dev-1.2.3')} cannot be loaded`,
  })
})

test('removes what a killed installation has left, but not what another process is installing', async () => {
  const ended = join(cache, 'of user/dev-1.0.0.4194304.tmp')
  const running = join(cache, `of user/dev-1.0.0.${process.ppid}.tmp`)
  for (const folder of [ended, running]) mkdirSync(folder, { recursive: true })
  await fetchStack(options(installs('1.2.3')))
  expect(existsSync(ended)).toBe(false)
  expect(existsSync(running)).toBe(true)
})

test('recognizes only the error of a missing stack, not that of another missing module', async () => {
  const name: string = '@inferwire/not-there'
  const error: unknown = await import(name).catch((reason: unknown) => reason)
  expect(isStackMissing(error)).toBe(false)
  const missing = new Error("Cannot find package '@inferwire/dev' imported from /opt/main.js")
  expect(isStackMissing(Object.assign(missing, { code: 'ERR_MODULE_NOT_FOUND' }))).toBe(true)
})

test('rejects a stack of another version', () => {
  expect(() => checkStackVersion('1.2.3', '1.2.3')).not.toThrow()
  expect(() => checkStackVersion('1.2.2', '1.2.3')).toThrow(
    '@inferwire/dev 1.2.2 is installed, but this is inferwire 1.2.3',
  )
})

test('follows the conventions of the platform for caches', () => {
  expect(cacheFolder({ XDG_CACHE_HOME: '/x' }, 'linux')).toBe(join('/x', 'inferwire'))
  expect(cacheFolder({}, 'linux')).toBe(join(homedir(), '.cache', 'inferwire'))
  expect(cacheFolder({ LOCALAPPDATA: 'C' }, 'win32')).toBe(join('C', 'inferwire'))
})
