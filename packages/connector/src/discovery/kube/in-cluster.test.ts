// Tests the settings that a pod gets from its ServiceAccount, with real files and real TLS.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { LOCALHOST } from '../../config/testing/certificates.ts'
import { inClusterTarget, isInCluster } from './in-cluster.ts'
import { KubeApi } from './kube-api.ts'
import type { KubeError } from './kube-error.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inferwire-pod-'))
  write('token', 'one.two.three\n')
  write('ca.crt', LOCALHOST.cert)
  write('namespace', 'models')
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

const write = (name: string, text: string): void => writeFileSync(join(folder, name), text)
const ENV = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '6443' }
const { signal } = new AbortController()

function errorOf(run: () => unknown): KubeError {
  try {
    run()
  } catch (error) {
    return error as KubeError
  }
  return expect.fail('It succeeded.')
}

test('uses the address, the token, the authority and the namespace of the pod', async () => {
  expect(isInCluster({ env: ENV, folder })).toBe(true)
  const target = inClusterTarget({ env: ENV, folder })
  expect(target.server.href).toBe('https://10.96.0.1:6443/')
  expect(target.namespace).toBe('models')
  expect(await target.login(signal)).toEqual({
    token: 'one.two.three',
    tls: { ca: LOCALHOST.cert, cert: undefined, key: undefined },
  })
})

test.each([
  ['fd00::1', '443', 'https://[fd00::1]/'],
  ['kubernetes.default.svc', undefined, 'https://kubernetes.default.svc/'],
])('takes the host %s and the port %s', (host, port, server) => {
  const env = { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port }
  expect(inClusterTarget({ env, folder }).server.href).toBe(server)
})

test.each([
  ['10.96.0.1/path', '443'],
  ['user@10.96.0.1', '443'],
  ['10.96.0.1', '443/x'],
  ['10.96.0.1', '99999'],
])('refuses the host %s with the port %s', (host, port) => {
  const env = { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port }
  expect(errorOf(() => inClusterTarget({ env, folder }))).toMatchObject({ reason: 'InvalidConfig' })
})

test('is not in a cluster without the variable or without a token', () => {
  expect(isInCluster({ env: {}, folder })).toBe(false)
  rmSync(join(folder, 'token'))
  expect(isInCluster({ env: ENV, folder })).toBe(false)
  expect(errorOf(() => inClusterTarget({ env: {}, folder })).message).toContain('KUBERNETES_SERVICE_HOST')
  expect(errorOf(() => inClusterTarget({ env: ENV, folder })).message).toContain('token" cannot be read')
})

test('does without the file of the namespace', () => {
  rmSync(join(folder, 'namespace'))
  expect(inClusterTarget({ env: ENV, folder }).namespace).toBeUndefined()
})

test.each([
  ['token', '', 'is empty'],
  ['token', 'two\r\nlines: injected', 'is not a bearer token'],
  ['token', 'a'.repeat(16 * 1024), 'is not a bearer token'],
  ['ca.crt', 'not a certificate', 'contains no readable certificate'],
  ['ca.crt', 'x'.repeat(1024 * 1024 + 1), 'is larger than'],
])('refuses a file %s with unusable contents, without quoting them', (name, text, mistake) => {
  write(name, text)
  const { message, remedy } = errorOf(() => inClusterTarget({ env: ENV, folder }))
  expect(message).toContain(join(folder, name))
  expect(message).toContain(mistake)
  expect(`${message} ${remedy}`).not.toMatch(/injected|aaaa|xxxx|not a certificate/)
})

test('uses a new token and a new authority, and keeps the old ones while a file is being replaced', async () => {
  const target = inClusterTarget({ env: ENV, folder })
  const first = await target.login(signal)
  expect(await target.renew(first, signal)).toBe(false)
  write('token', '')
  write('ca.crt', LOCALHOST.cert.slice(0, 100))
  expect(await target.login(signal)).toEqual(first)
  write('token', 'four.five.six')
  write('ca.crt', `${LOCALHOST.cert}${LOCALHOST.cert}`)
  expect(await target.renew(first, signal)).toBe(true)
  expect(await target.login(signal)).toMatchObject({
    token: 'four.five.six',
    tls: { ca: `${LOCALHOST.cert}${LOCALHOST.cert}` },
  })
})

test('KubeApi.find prefers a kubeconfig that is named, and then the pod', () => {
  const kubeconfig = join(folder, 'config')
  write(
    'config',
    JSON.stringify({
      clusters: [{ name: 'c', cluster: { server: 'https://named.example' } }],
      contexts: [{ name: 'c', context: { cluster: 'c' } }],
      'current-context': 'c',
    }),
  )
  const serverOf = (options: object): string => KubeApi.find({ folder, ...options }).server
  expect(serverOf({ env: ENV })).toBe('https://10.96.0.1:6443/')
  expect(serverOf({ env: { ...ENV, KUBECONFIG: kubeconfig } })).toBe('https://named.example/')
  expect(serverOf({ env: ENV, kubeconfig })).toBe('https://named.example/')
  expect(serverOf({ env: { ...ENV, KUBECONFIG: kubeconfig }, context: 'c' })).toBe('https://named.example/')
})
