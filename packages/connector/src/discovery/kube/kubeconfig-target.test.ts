// Tests the credentials and settings of a kubeconfig, with real TLS servers.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ENCRYPTED_KEY, LOCALHOST, OTHER_NAME } from '../../config/testing/certificates.ts'
import { KubeApi } from './kube-api.ts'
import type { KubeError } from './kube-error.ts'
import { ApiServer } from './testing/api-server.ts'

let folder: string
const closing: (() => Promise<void>)[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inferwire-target-'))
})

afterEach(async () => {
  for (const close of closing.splice(0)) await close()
  rmSync(folder, { recursive: true, force: true })
})

function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text)
  return name
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')

function apiWith(cluster: object, user: object = {}): KubeApi {
  const kubeconfig = join(folder, 'config')
  const content = {
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u', namespace: 'models' } }],
    'current-context': 'c',
  }
  writeFileSync(kubeconfig, JSON.stringify(content))
  const api = KubeApi.fromKubeconfig({ env: {}, kubeconfig })
  closing.push(() => api.close())
  return api
}

function mistake(cluster: object, user: object = {}): KubeError {
  try {
    apiWith(cluster, user)
  } catch (error) {
    return error as KubeError
  }
  return expect.fail('It succeeded.')
}

// Listens on the address 127.0.0.1 with a certificate for localhost.
async function startServer(tls: object = {}): Promise<ApiServer> {
  const server = new ApiServer({ ...LOCALHOST, ...tls })
  await server.start()
  closing.push(() => server.stop())
  return server
}

const version = async (api: KubeApi): Promise<unknown> => await api.get('/version')
const failureOf = async (api: KubeApi): Promise<KubeError> =>
  await version(api).then(
    () => expect.fail('It succeeded.'),
    (error: unknown) => error as KubeError,
  )

describe('TLS', () => {
  const NAME = { 'tls-server-name': 'localhost' }

  test('trusts the authority in the file or in the data; the data wins', async () => {
    const server = await startServer()
    const file = { 'certificate-authority': write('ca.pem', LOCALHOST.cert) }
    const data = { 'certificate-authority-data': base64(LOCALHOST.cert) }
    const api = apiWith({ server: server.url, ...NAME, ...file })
    expect(await version(api)).toEqual({ major: '1' })
    expect(api).toMatchObject({ namespace: 'models', source: `context "c" of ${join(folder, 'config')}` })
    const wrong = { 'certificate-authority': write('other.pem', OTHER_NAME.cert) }
    expect(await version(apiWith({ server: server.url, ...NAME, ...wrong, ...data }))).toEqual({ major: '1' })
  })

  test('explains an unknown authority, a wrong name, and a server without TLS', async () => {
    const server = await startServer()
    const ca = { 'certificate-authority-data': base64(LOCALHOST.cert) }
    expect(await failureOf(apiWith({ server: server.url, ...NAME }))).toMatchObject({
      reason: 'Unreachable',
      message: expect.stringContaining('no trusted certificate authority'),
      remedy: expect.stringContaining('certificate-authority'),
    })
    expect(await failureOf(apiWith({ server: server.url, ...ca }))).toMatchObject({
      remedy: expect.stringContaining('tls-server-name'),
    })
    const plain = new ApiServer()
    await plain.start()
    closing.push(() => plain.stop())
    const url = plain.url.replace('http:', 'https:')
    expect(await failureOf(apiWith({ server: url, ...ca }))).toMatchObject({
      message: expect.stringContaining('does not use TLS'),
    })
  })

  test('is checked even if NODE_TLS_REJECT_UNAUTHORIZED disables the check', async () => {
    const server = await startServer()
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    const failure = await failureOf(apiWith({ server: server.url, ...NAME }))
    vi.unstubAllEnvs()
    expect(failure).toMatchObject({ reason: 'Unreachable' })
    expect(server.requests).toEqual([])
  })

  test('sends a client certificate from files, and another one after they have been replaced', async () => {
    const server = await startServer({ requestCert: true, ca: [OTHER_NAME.cert, LOCALHOST.cert] })
    const names: (string | undefined)[] = []
    server.refuse = ({ socket }: IncomingMessage) => {
      names.push((socket as TLSSocket).getPeerCertificate().subject?.CN as string | undefined)
      return undefined
    }
    const cluster = { server: server.url, ...NAME, 'certificate-authority-data': base64(LOCALHOST.cert) }
    const user = {
      'client-certificate': write('client.pem', OTHER_NAME.cert),
      'client-key': write('client.key', OTHER_NAME.key),
    }
    const api = apiWith(cluster, user)
    await version(api)
    write('client.pem', LOCALHOST.cert)
    write('client.key', LOCALHOST.key)
    await version(api)
    expect(names).toEqual(['other.example', 'localhost'])
    // In the middle of a replacement, certificate and key do not match.
    write('client.pem', OTHER_NAME.cert)
    expect(await failureOf(api)).toMatchObject({ reason: 'Unreachable' })
    write('client.key', OTHER_NAME.key)
    await version(api)
    expect(names.at(-1)).toBe('other.example')
  })

  test('ends requests on connections with replaced certificates when it is closed', async () => {
    const server = await startServer()
    const cluster = { server: server.url, ...NAME, 'certificate-authority': write('ca.pem', LOCALHOST.cert) }
    const api = apiWith(cluster)
    server.faults.push('silence')
    const request = failureOf(api)
    await expect.poll(() => server.requests.length, { timeout: 20_000 }).toBe(1)
    write('ca.pem', `${LOCALHOST.cert}${OTHER_NAME.cert}`)
    await version(api)
    await api.close()
    expect(await request).toMatchObject({ reason: 'Unreachable' })
  })
})

describe('a token', () => {
  test('comes from a file, which is read again, and wins over the token in the kubeconfig', async () => {
    const server = new ApiServer()
    await server.start()
    closing.push(() => server.stop())
    let valid = 'Bearer one'
    server.refuse = ({ headers }) => (headers.authorization === valid ? undefined : 401)
    const api = apiWith({ server: server.url }, { token: 'other', tokenFile: write('token', 'one\n') })
    expect(await version(api)).toEqual({ major: '1' })
    valid = 'Bearer two'
    expect(await failureOf(api)).toMatchObject({ status: 401, reason: 'Unauthorized' })
    write('token', 'two\n')
    expect(await version(api)).toEqual({ major: '1' })
    expect(server.requests).toHaveLength(3)
  })

  test('that changes between the request and the 401 leads to one repetition', async () => {
    const server = new ApiServer()
    await server.start()
    closing.push(() => server.stop())
    server.refuse = ({ headers }) => {
      write('token', 'two')
      return headers.authorization === 'Bearer two' ? undefined : 401
    }
    const api = apiWith({ server: server.url }, { tokenFile: write('token', 'one') })
    expect(await version(api)).toEqual({ major: '1' })
    expect(server.requests).toHaveLength(2)
  })
})

describe('refuses, with the reason,', () => {
  const server = 'https://api.example:6443'
  const pem = base64(LOCALHOST.cert)
  test.each<[string, object, object, string]>([
    [
      'insecure-skip-tls-verify',
      { server, 'insecure-skip-tls-verify': true },
      {},
      'insecure-skip-tls-verify',
    ],
    ['the text "true"', { server, 'insecure-skip-tls-verify': 'true' }, {}, 'insecure-skip-tls-verify'],
    ['a proxy', { server, 'proxy-url': 'http://proxy' }, {}, 'proxy-url'],
    ['a password', { server }, { username: 'a', password: 's3cr3t' }, 'a user name or password'],
    ['auth-provider', { server }, { 'auth-provider': { name: 'gcp' } }, 'auth-provider'],
    ['impersonation of a user', { server }, { as: 'admin', token: 's3cr3t' }, 'sets as:'],
    ['impersonation of groups', { server }, { 'as-groups': ['s'] }, 'sets as-groups:'],
    ['a certificate without a key', { server }, { 'client-certificate-data': pem }, 'only one of'],
    ['a key without a certificate', { server }, { 'client-key-data': base64(LOCALHOST.key) }, 'only one of'],
    [
      'an encrypted key',
      { server },
      { 'client-certificate-data': pem, 'client-key-data': base64(ENCRYPTED_KEY) },
      'client-key-data in',
    ],
    [
      'data that is no certificate',
      { server, 'certificate-authority-data': 's3cr3t' },
      {},
      'no readable cert',
    ],
    ['a missing file', { server, 'certificate-authority': 'missing' }, {}, 'cannot be read (ENOENT)'],
    ['a bad token', { server }, { token: 's3cr3t\nx' }, 'is not a bearer token'],
    ['no server', {}, {}, 'server: '],
    ['an address without TLS', { server: 'http://api.example' }, {}, 'not an https:// address'],
    ['an address that looks local', { server: 'http://localhost.example' }, {}, 'not an https:// address'],
    ['a user in the address', { server: 'https://u:s3cr3t@api.example' }, {}, 'not an https:// address'],
    ['a password in the address', { server: 'https://:s3cr3t@api.example' }, {}, 'not an https:// address'],
    ['an address with a query', { server: 'https://api.example?a' }, {}, 'not an https:// address'],
    [
      'an exec plugin of an old version',
      { server },
      { exec: { apiVersion: 'v1alpha1', command: 'x' } },
      'exec.api',
    ],
    [
      'an exec plugin that needs a terminal',
      { server },
      { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: 'x', interactiveMode: 'Always' } },
      'interactiveMode: Always',
    ],
  ])('%s', (_, cluster, user, text) => {
    const error = mistake(cluster, user)
    expect(['InvalidConfig', 'NoCredential']).toContain(error.reason)
    expect(error.message).toContain(text)
    expect(error.remedy).not.toBe('')
    expect(`${error.message} ${error.remedy} ${String(error.cause)}`).not.toContain('s3cr3t')
  })

  test('nothing of a usable kubeconfig', () => {
    expect(apiWith({ server: `${server}/k8s/clusters/c-1`, 'insecure-skip-tls-verify': false }).server).toBe(
      `${server}/k8s/clusters/c-1`,
    )
    expect(apiWith({ server: 'http://127.0.0.1:8001' }).server).toBe('http://127.0.0.1:8001/')
  })
})
