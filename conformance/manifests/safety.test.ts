// Checks safety properties of the objects: no unencrypted route if TLS is used, no queues beyond the memory limit, no
// pods that cannot start.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { manifests, OptionError, type KubernetesObject, type ManifestOptions } from '@inferwire/kubernetes'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { inferwire } from '../fixtures/inferwire.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { documents } from './documents.ts'
import { at } from './policy.ts'
import { TLS, VARIANTS } from './variants.ts'

const DIGEST = `@sha256:${'0'.repeat(64)}`
const ROOT = fileURLToPath(new URL('../../', import.meta.url))

test.each(['v3', 'v2'] as const)('with a certificate, every route of Traefik (%s) uses TLS', (traefikApi) => {
  const routes = manifests({ broker: { tls: TLS, traefikApi } }).filter(({ kind }) =>
    kind.startsWith('IngressRoute'),
  )
  expect(routes.map(({ metadata }) => metadata.name)).toEqual(['mosquitto-tls', 'mosquitto-ws'])
  for (const { spec } of routes) expect(at(spec, 'tls', 'secretName')).toBe(TLS.secretName)
})

test("a pod is evicted from a lost node long before its connector's session expires", () => {
  const objects = manifests()
  const { broker } = parse(textOf(objects, 'inferwire.yaml')) as { broker: Record<string, unknown> }
  for (const kind of ['Deployment', 'StatefulSet']) {
    const tolerations = at(find(objects, kind)['spec'], 'template', 'spec', 'tolerations') as object[]
    expect(tolerations).toEqual(
      ['not-ready', 'unreachable'].map((condition) => ({
        key: `node.kubernetes.io/${condition}`,
        operator: 'Exists',
        effect: 'NoExecute',
        tolerationSeconds: 30,
      })),
    )
  }
  expect(broker['sessionExpirySeconds']).toBe(3600)
  expect(textOf(objects, 'mosquitto.conf')).toMatch(/^persistent_client_expiration 14d$/m)
})

test.each([32, 48, 512, 1000])("the broker's queues stay below a memory limit of %i MiB", (memoryMi) => {
  const text = textOf(manifests({ broker: { memoryMi } }), 'mosquitto.conf')
  const value = (name: string): number => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)![1])
  // Mosquitto does not count all of its memory, so memory_limit must leave room for the rest.
  const limit = value('memory_limit') / 1_048_576
  expect(limit).toBeLessThanOrEqual(Math.min(memoryMi * 0.75, memoryMi - 16))
  expect(limit).toBeGreaterThanOrEqual(memoryMi / 2)
  expect(value('max_queued_bytes')).toBe(memoryMi * 262_144)
  expect(value('max_queued_messages')).toBe(memoryMi * 200)
})

test('a changed password file restarts the broker, unless the file is in an existing Secret', () => {
  expect(hashOf({ passwordFile: 'a:b\n' })).not.toBe(hashOf({ passwordFile: 'a:c\n' }))
  expect(hashOf({ observers: ['a'] })).not.toBe(hashOf({}))
  expect(hashOf({ passwords: 'existing' })).not.toBe(hashOf({}))
  expect(hashOf({ passwords: 'existing' })).toBe(hashOf({ passwords: 'existing', passwordFile: 'a:b\n' }))
})

describe('the generator of manifests', () => {
  test.each<[string, ManifestOptions, string]>([
    ...['127.0.0.1', '127.1.2.3', 'localhost', '::1', '[::1]'].map(
      (host): [string, ManifestOptions, string] => [
        `probes of ${host}`,
        { connector: { config: { admin: { host } } } },
        'has admin.host',
      ],
    ),
    ...['/home/me/pw', 'pw', '/etc/inferwire/broker/../pw', '/etc/inferwire/brokers/pw', '/etc/passwd'].map(
      (passwordFile): [string, ManifestOptions, string] => [
        `the file ${passwordFile}`,
        { connector: { config: { broker: { passwordFile } } } },
        `has broker.passwordFile "${passwordFile}", but no volume is mounted there`,
      ],
    ),
    [
      'a file that only another option mounts',
      {
        connector: {
          config: { models: { m: { credential: { tokenFile: '/var/run/secrets/inferwire/token' } } } },
        },
      },
      'has models.m.credential.tokenFile "/var/run/secrets/inferwire/token"',
    ],
    [
      'a named credential whose file is not mounted',
      { connector: { config: { credentials: { dex: { clientSecretFile: '/etc/secrets/dex/secret' } } } } },
      'has credentials.dex.clientSecretFile "/etc/secrets/dex/secret"',
    ],
    [
      'a user name with two levels',
      { connector: { config: { broker: { username: 'a/b' } } } },
      '"a/b", which contains',
    ],
    [
      'a user name with ACL rules',
      { connector: { config: { broker: { username: 'x\ntopic readwrite #' } } } },
      'has broker.username',
    ],
    ['a root with %u', { connector: { config: { root: 'plant/%u' } } }, 'has a root'],
    [
      'two Secrets at one path',
      {
        connector: {
          secretMounts: ['a', 'b'].map((secretName) => ({ secretName, mountPath: '/etc/secrets/a' })),
        },
      },
      'has "/etc/secrets/a", which is already in use',
    ],
    [
      'a Secret inside another mount',
      { connector: { secretMounts: [{ secretName: 'a', mountPath: '/etc/inferwire/config/a' }] } },
      'overlaps with the mount /etc/inferwire/config',
    ],
    [
      'the same name for broker and connector',
      { broker: { namespace: 'site' }, connector: { name: 'mosquitto', namespace: 'site' } },
      'the name of the broker',
    ],
  ])('rejects %s', (_, options, message) => {
    expect(() => manifests(options)).toThrow(
      expect.objectContaining({
        constructor: OptionError,
        message: expect.stringContaining(message) as string,
      }) as Error,
    )
  })

  test.each([
    ['admin: { host: 127.0.0.1 }', 'has admin.host'],
    ['broker: { username: a/b }', 'has broker.username'],
    ['root: plant/%u', 'has a root'],
  ])('rejects the configuration "%s", as does the command inferwire manifests', async (text, what) => {
    const { code, stdout, stderr } = await inferwire(['manifests', '--config', configFile(text)])
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
    expect(stderr).toContain(`/inferwire.yaml ${what}`)
    expect(stderr).not.toMatch(/^ {4}at /m)
  })
})

test('with --only mosquitto, configuration options that do not affect the access rules are ignored', async () => {
  const text = 'root: plant\nbroker: { username: bridge }\nadmin: { host: 127.0.0.1, port: 0 }\n'
  const { code, stdout } = await inferwire(['manifests', '--only', 'mosquitto', '--config', configFile(text)])
  expect(code).toBe(0)
  expect(textOf(documents(stdout), 'acl.txt')).toContain('user bridge\ntopic read plant/request/#')
})

test.each([`inferwire:1.2${DIGEST}`, `inferwire${DIGEST}`, `mirror:5000/a/b:1.2${DIGEST}`])(
  'the generator of manifests accepts the image %s',
  (image) => {
    const [container] = at(
      find(manifests({ connector: { image } }), 'StatefulSet')['spec'],
      'template',
      'spec',
      'containers',
    ) as [object]
    expect(container).toMatchObject({ image })
  },
)

test('Git ignores the credentials that the guides create', () => {
  const lines = readFileSync(join(ROOT, '.gitignore'), 'utf8').split('\n')
  expect(lines).toEqual(expect.arrayContaining(['credentials.txt', '*.password', 'tls.key', 'tls.crt']))
})

test('the generator of manifests accepts every variant', () => {
  for (const [, options] of VARIANTS) expect(() => manifests(options)).not.toThrow()
})

function configFile(text: string): string {
  const file = join(tempFolder('config'), 'inferwire.yaml')
  writeFileSync(file, text)
  return file
}

function find(objects: readonly KubernetesObject[], kind: string): KubernetesObject {
  return objects.find((object) => object.kind === kind)!
}

function textOf(objects: readonly KubernetesObject[], file: string): string {
  return objects.map(({ data }) => at(data, file)).find((text) => typeof text === 'string') as string
}

function hashOf(broker: NonNullable<ManifestOptions['broker']>): unknown {
  const { spec } = find(manifests({ broker }), 'Deployment')
  return at(spec, 'template', 'metadata', 'annotations', 'checksum/config')
}
