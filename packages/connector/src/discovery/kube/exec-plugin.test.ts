// Tests credentials from exec plugins, with real programs.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { LOCALHOST, OTHER_NAME } from '../../config/testing/certificates.ts'
import { ExecPlugin, type ExecConfig } from './exec-plugin.ts'
import type { KubeError } from './kube-error.ts'
import type { KubeLogin } from './kube-target.ts'

let folder: string
const { signal } = new AbortController()
const V1 = 'client.authentication.k8s.io/v1'
const BASE: KubeLogin = { token: undefined, tls: { ca: LOCALHOST.cert, cert: undefined, key: undefined } }

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inferwire-exec-'))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

// Each run of the plugin adds a line to the file "runs".
function pluginOf(script: string, config: Partial<ExecConfig> = {}): ExecPlugin {
  writeFileSync(join(folder, 'plugin'), `#!/bin/sh\necho run >> "$(dirname "$0")/runs"\n${script}\n`, {
    mode: 0o755,
  })
  const exec: ExecConfig = { apiVersion: V1, command: './plugin', ...config }
  const entry = { file: join(folder, 'config'), value: undefined }
  return new ExecPlugin(exec, entry, { server: 'https://api.example' }, () => BASE)
}

const later = (ms: number): string => new Date(Date.now() + ms).toISOString()
const seen = (): string[] => readFileSync(join(folder, 'seen'), 'utf8').split('\n')
const runs = (): number => readFileSync(join(folder, 'runs'), 'utf8').split('\n').length - 1

const answer = (status: object, apiVersion = V1): string => {
  writeFileSync(join(folder, 'answer'), JSON.stringify({ apiVersion, kind: 'ExecCredential', status }))
  return 'cat "$(dirname "$0")/answer"'
}

async function failureOf(plugin: ExecPlugin): Promise<KubeError> {
  return await plugin.login(signal).then(
    () => expect.fail('It succeeded.'),
    (error: unknown) => error as KubeError,
  )
}

test.each(['v1', 'v1beta1'] as const)('runs a plugin of %s once for many requests', async (version) => {
  const apiVersion = `client.authentication.k8s.io/${version}` as const
  const plugin = pluginOf(answer({ token: 'abc' }, apiVersion), { apiVersion })
  const logins = await Promise.all([plugin.login(signal), plugin.login(signal), plugin.login(signal)])
  expect(logins[0]).toEqual({ token: 'abc', tls: BASE.tls })
  expect(logins[2]).toBe(logins[0])
  expect(await plugin.login(signal)).toBe(logins[0])
  expect(runs()).toBe(1)
})

test('passes arguments, environment, standard input at its end, and the cluster if the plugin wants it', async () => {
  const script = `cat; printf '%s\\n' "$1" "$ADDED" "$KUBERNETES_EXEC_INFO" > "$(dirname "$0")/seen"\n`
  const config = { args: ['a b'], env: [{ name: 'ADDED', value: 'x y' }] }
  await pluginOf(script + answer({ token: 'abc' }), config).login(signal)
  expect(seen().slice(0, 2)).toEqual(['a b', 'x y'])
  expect(JSON.parse(seen()[2]!)).toEqual({
    apiVersion: V1,
    kind: 'ExecCredential',
    spec: { interactive: false },
  })
  await pluginOf(script + answer({ token: 'abc' }), { ...config, provideClusterInfo: true }).login(signal)
  expect(JSON.parse(seen()[2]!)).toMatchObject({ spec: { cluster: { server: 'https://api.example' } } })
})

test('takes a client certificate, and keeps the authority', async () => {
  const status = { clientCertificateData: OTHER_NAME.cert, clientKeyData: OTHER_NAME.key }
  expect(await pluginOf(answer(status)).login(signal)).toEqual({
    token: undefined,
    tls: { ca: LOCALHOST.cert, ...OTHER_NAME },
  })
})

test('runs the plugin again when its credential is about to expire, or was refused', async () => {
  const expiring = pluginOf(answer({ token: 'a', expirationTimestamp: later(5_000) }))
  await expiring.login(signal)
  await expiring.login(signal)
  expect(runs()).toBe(2)
  const lasting = pluginOf(answer({ token: 'b', expirationTimestamp: later(3_600_000) }))
  const login = await lasting.login(signal)
  expect(await lasting.login(signal)).toBe(login)
  expect(runs()).toBe(3)
  // Of two requests that were refused at the same time, only the first one leads to a new run.
  expect(await lasting.renew(login, signal)).toBe(true)
  expect(await lasting.renew(login, signal)).toBe(true)
  expect(runs()).toBe(4)
  expect(await lasting.login(signal)).not.toBe(login)
})

const LONG = 'a'.repeat(40)
test.each<[string, string, string]>([
  [
    'fails',
    `echo "cannot log in as me, token ${LONG}" >&2; exit 3`,
    'it ended with 3: cannot log in as me, token ***',
  ],
  ['prints no JSON', 'echo hello', 'did not print JSON'],
  ['prints other JSON', 'echo "{}"', 'did not print an ExecCredential: apiVersion'],
  ['prints too much', 'head -c 300000 /dev/zero', 'it printed more than 262144 bytes'],
  ['is killed', 'kill -9 $$', 'it could not be run'],
])('reports a plugin that %s', async (_, script, text) => {
  const error = await failureOf(pluginOf(script))
  expect(error).toMatchObject({ reason: 'NoCredential' })
  expect(error.message).toContain(text)
  expect(error.message).toContain('./plugin')
  expect(error.message).not.toContain(LONG)
})

test.each<[string, object, string, string]>([
  ['nothing', {}, V1, 'neither a token nor a certificate'],
  ['a certificate without a key', { clientCertificateData: LOCALHOST.cert }, V1, 'neither a token nor'],
  ['a bad token', { token: 'one two' }, V1, 'is not a bearer token'],
  ['a bad key', { clientCertificateData: LOCALHOST.cert, clientKeyData: 'x' }, V1, 'no readable private key'],
  ['another version', { token: 'abc' }, 'client.authentication.k8s.io/v1beta1', 'instead of'],
])('reports a plugin that returns %s', async (_, status, apiVersion, text) => {
  expect((await failureOf(pluginOf(answer(status, apiVersion)))).message).toContain(text)
})

test('reports a plugin that is not installed, with its own hint', async () => {
  const error = await failureOf(
    pluginOf('', { command: 'inferwire-no-such-plugin', installHint: 'Install it.' }),
  )
  expect(error).toMatchObject({ remedy: 'Install it.' })
  expect(error.message).toContain('it is not installed')
})

test('ends a plugin when the last request that waits for it has ended, and runs it again for the next one', async () => {
  const script = `[ -e "$(dirname "$0")/ready" ] || { echo $$ > "$(dirname "$0")/pid"; exec sleep 1000; }\n`
  const plugin = pluginOf(script + answer({ token: 'abc' }))
  const [one, two] = [new AbortController(), new AbortController()]
  const failed = [one, two].map((each) =>
    plugin.login(each.signal).catch((error: unknown) => (error as KubeError).reason),
  )
  const pid = (): number => Number(readFileSync(join(folder, 'pid'), 'utf8'))
  await expect.poll(() => isRunning(pid()), { timeout: 20_000 }).toBe(true)
  one.abort()
  expect(await failed[0]).toBe('Aborted')
  expect(isRunning(pid())).toBe(true)
  two.abort()
  expect(await failed[1]).toBe('Aborted')
  await expect.poll(() => isRunning(pid()), { timeout: 20_000 }).toBe(false)
  writeFileSync(join(folder, 'ready'), '')
  expect(await plugin.login(signal)).toMatchObject({ token: 'abc' })
})

function isRunning(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0)
  } catch {
    return false
  }
}
