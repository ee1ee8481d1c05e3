// Tests how kubeconfig files are found and merged, and what their mistakes are reported as.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { stringify } from 'yaml'
import type { KubeError } from './kube-error.ts'
import { readKubeconfig, type KubeconfigOptions } from './kubeconfig.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inferwire-kubeconfig-'))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

function write(name: string, content: object | string): string {
  const file = join(folder, name)
  writeFileSync(file, typeof content === 'string' ? content : stringify(content))
  return file
}

const cluster = (name: string, server: string): object => ({ name, cluster: { server } })
const context = (name: string, names: object): object => ({ name, context: names })

function errorOf(options: KubeconfigOptions): KubeError {
  try {
    readKubeconfig(options)
  } catch (error) {
    return error as KubeError
  }
  return expect.fail('It succeeded.')
}

const A = {
  'current-context': 'dev',
  clusters: [cluster('one', 'https://a-one'), cluster('one', 'https://a-one-again')],
  contexts: [context('dev', { cluster: 'one', user: 'me', namespace: 'models' })],
  users: [{ name: 'me', user: { token: 'a' } }],
}
const B = {
  'current-context': 'prod',
  clusters: [cluster('one', 'https://b-one'), cluster('two', 'https://b-two')],
  contexts: [context('dev', { cluster: 'two' }), context('prod', { cluster: 'two', user: 'me' })],
  users: [{ name: 'me', user: { token: 'b' } }],
}

test('merges the files of KUBECONFIG: the first definition of a name wins', () => {
  const [a, b] = [write('a', A), write('b', B)]
  const env = { KUBECONFIG: ['', join(folder, 'missing'), a, b].join(delimiter) }
  expect(readKubeconfig({ env })).toEqual({
    name: 'dev',
    file: a,
    namespace: 'models',
    cluster: { file: a, value: { server: 'https://a-one' } },
    user: { file: a, value: { token: 'a' } },
  })
  expect(readKubeconfig({ env, context: 'prod' })).toMatchObject({
    file: b,
    namespace: undefined,
    cluster: { file: b, value: { server: 'https://b-two' } },
    user: { file: a },
  })
  expect(readKubeconfig({ env: { KUBECONFIG: [b, a].join(delimiter) } })).toMatchObject({ name: 'prod' })
})

test('reads only the given file, or the one in the home folder', () => {
  const a = write('a', A)
  mkdirSync(join(folder, '.kube'))
  write('.kube/config', B)
  expect(readKubeconfig({ env: { HOME: folder, KUBECONFIG: a }, kubeconfig: a }).name).toBe('dev')
  expect(readKubeconfig({ env: { HOME: folder } }).name).toBe('prod')
  expect(readKubeconfig({ env: { HOME: folder, KUBECONFIG: '' } }).name).toBe('prod')
})

test('accepts an empty file, a context without a user, null sections and anchors', () => {
  const empty = write('empty', '# nothing\n')
  const other = write(
    'other',
    'users: null\nclusters: [{ name: one, cluster: &c { server: "https://x" } }, { name: two, cluster: *c }]\n' +
      'contexts: [{ name: dev, context: { cluster: two } }]\ncurrent-context: dev\n',
  )
  const env = { KUBECONFIG: [empty, other].join(delimiter) }
  expect(readKubeconfig({ env })).toMatchObject({
    user: undefined,
    cluster: { value: { server: 'https://x' } },
  })
})

test.each<[string, object | string, string, string | RegExp]>([
  ['no context', { clusters: [] }, 'has no current-context', 'There are: none.'],
  ['an unknown context', { ...A, 'current-context': 'x' }, 'has no context "x"', 'There are: "dev".'],
  ['an unknown cluster', { ...A, clusters: B.clusters.slice(1) }, 'names "one"', 'There are: "two".'],
  ['an unknown user', { ...A, users: [] }, `names "me", which is not in the kubeconfig's users`, 'none'],
  ['text', 'hello', 'is not valid', /kubectl config view/],
  ['a list', '[]', 'is not valid', /kubectl config view/],
  ['no YAML', 'users: [{ token: s3cr3t', 'is not valid YAML', /kubectl config view/],
  ['deep nesting', '['.repeat(100), 'is nested deeper than 64 levels', /kubectl config view/],
  ['an alias bomb', bomb(), 'is not valid YAML', /kubectl config view/],
  ['a number as a name', { ...A, contexts: [context('dev', { cluster: 5 })] }, 'cluster: ', /kubectl/],
])('refuses %s', (_, content, mistake, remedy) => {
  const error = errorOf({ env: {}, kubeconfig: write('config', content) })
  expect(error).toMatchObject({ reason: 'InvalidConfig' })
  expect(error.message).toContain(mistake)
  expect(error.remedy).toMatch(remedy)
  expect(`${error.message} ${error.remedy} ${String(error.cause)}`).not.toContain('s3cr3t')
})

// Ten levels with ten references each.
function bomb(): string {
  const levels = Array.from(
    { length: 9 },
    (_, level) => `l${level + 1}: &l${level + 1} [${`*l${level},`.repeat(10)}]`,
  )
  return ['l0: &l0 x', ...levels].join('\n')
}

test('reports a missing file, a folder, and a file that is too large', () => {
  const missing = join(folder, 'missing')
  expect(errorOf({ env: { KUBECONFIG: missing } }).message).toContain(`There is no kubeconfig: "${missing}"`)
  expect(errorOf({ env: { HOME: folder } }).message).toContain(join(folder, '.kube', 'config'))
  expect(errorOf({ env: {}, kubeconfig: missing }).message).toContain('cannot be read (ENOENT)')
  expect(errorOf({ env: {}, kubeconfig: folder }).message).toContain('cannot be read (EISDIR)')
  const large = write('large', '#'.repeat(1024 * 1024 + 1))
  expect(errorOf({ env: {}, kubeconfig: large }).message).toContain('is larger than 1048576 bytes')
})
