// Holds the Helm chart to the generator: the same objects for the same choices, and bad values refused with their path.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { manifests, type KubernetesObject, type ManifestOptions } from '@inferwire/kubernetes'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { run } from './fixtures/inferwire.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { kubernetesClient } from './manifests/clients.ts'
import { documents, sorted } from './manifests/documents.ts'
import { at } from './manifests/policy.ts'
import { VARIANTS } from './manifests/variants.ts'

const CHART = fileURLToPath(new URL('../charts/inferwire', import.meta.url))

describe('charts/inferwire', () => {
  test.each(VARIANTS)('makes the same objects as the generator with %s', async (_, options) => {
    const { code, stdout, stderr } = await helm('template', options)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(comparable(documents(stdout))).toEqual(comparable(manifests(inOneNamespace(options))))
  })

  test.each(VARIANTS)('is clean to helm lint --strict with %s', async (_, options) => {
    expect(await helm('lint', options)).toMatchObject({ code: 0 })
  })

  test('takes the values that the guide shows', async () => {
    const page = readFileSync(new URL('../docs/guides/kubernetes.md', import.meta.url), 'utf8')
    const shown = /<!-- values -->\n\n```yaml\n([\s\S]*?)```/.exec(page)![1]!
    const { code, stdout } = await helmWith('template', parse(shown) as object)
    expect(code).toBe(0)
    expect(stdout).toContain('user alice')
  })

  test.each<[string, object, string]>([
    ['an unknown key', { replica: 2 }, "'replica'"],
    ['an unknown key of the broker', { mosquitto: { exposed: 'traefik' } }, '/mosquitto'],
    ['an unknown option', { config: { broker: { ulr: 'mqtt://a' } } }, '/config/broker'],
    [
      'an option of a wrong type',
      { config: { broker: { keepAliveSeconds: 'x' } } },
      '/config/broker/keepAliveSeconds',
    ],
    ['an option out of range', { config: { admin: { port: 70_000 } } }, '/config/admin/port'],
    ['a model without a URL', { config: { models: { iris: {} } } }, '/config/models/iris'],
    ['text for a number', { replicas: '2' }, '/replicas'],
    ['a number for a version', { mosquitto: { version: 2.1 } }, '/mosquitto/version'],
    ['an unknown way', { mosquitto: { expose: 'ingress' } }, '/mosquitto/expose'],
    ['an image without a tag', { image: 'inferwire' }, '/image'],
    ['latest', { image: 'inferwire:latest' }, '/image'],
    ['latest for the broker', { mosquitto: { image: 'mosquitto:latest' } }, '/mosquitto/image'],
    ['YAML in a name', { mosquitto: { name: 'a\n  b: c' } }, '/mosquitto/name'],
    ['a host that closes the rule', { mosquitto: { tls: { host: 'a`)' } } }, '/mosquitto/tls/host'],
    ['a host without a certificate', { mosquitto: { tls: { host: 'a.b' } } }, 'belong together'],
    ['a certificate without a host', { mosquitto: { tls: { secretName: 'a' } } }, 'belong together'],
    ['one name for both', { name: 'mosquitto' }, 'would both be named "mosquitto"'],
    ['probes of localhost', { config: { admin: { host: '127.0.0.1' } } }, '/config/admin/host'],
    [
      'a file of home',
      { config: { broker: { passwordFile: '/home/me/pw' } } },
      '/config/broker/passwordFile',
    ],
    [
      'a file beside the mounted',
      { config: { broker: { tls: { caFile: '/etc/inferwire/broker/../ca.crt' } } } },
      '/config/broker/tls/caFile',
    ],
    [
      'a token that is not mounted',
      {
        config: {
          models: { m: { url: 'http://m', credential: { kind: 'token-file', tokenFile: '/tmp/t' } } },
        },
      },
      '/config/models/m/credential',
    ],
    ['a user of two levels', { config: { broker: { username: 'a/b' } } }, '/config/broker/username'],
    [
      'a user who brings rules',
      { config: { broker: { username: 'x\ntopic #' } } },
      '/config/broker/username',
    ],
    ['an observer who brings rules', { mosquitto: { observers: ['x\u0001'] } }, '/mosquitto/observers/0'],
    ['a root that brings rules', { config: { root: 'x\ntopic readwrite #' } }, '/config/root'],
    ['a root of every user', { config: { root: 'plant/%u' } }, '/config/root'],
    ['a root with spaces around', { config: { root: ' plant' } }, '/config/root'],
    ['no broker', { mosquitto: { enabled: false } }, 'config.broker.url is needed'],
    ['no probes', { config: { admin: { enabled: false } } }, 'config.admin must be enabled'],
  ])('refuses %s, and says where', async (_, values, where) => {
    const { code, stderr } = await helmWith('template', values)
    expect(code).not.toBe(0)
    expect(stderr).toContain(where)
  })
})

describe('a release', () => {
  test.each([
    ['mosquitto', 'would both be named "mosquitto"'],
    ['1abc', 'would be named "1abc"'],
    ['a'.repeat(53), 'at most 52'],
    ['a.b', 'would be named "a.b"'],
  ])('%s is refused', async (release, what) => {
    const { code, stderr } = await helmWith('template', {}, release)
    expect(code).not.toBe(0)
    expect(stderr).toContain(what)
  })

  test('may have any name where the connector has one of its own', async () => {
    expect(await helmWith('template', { name: 'edge' }, '1abc')).toMatchObject({ code: 0 })
  })
})

test('takes names that only another broker takes, and an image with tag and digest', async () => {
  const { code, stderr } = await helmWith('template', {
    image: `inferwire:1.2@sha256:${'0'.repeat(64)}`,
    mosquitto: { enabled: false },
    config: { root: 'a%b', broker: { url: 'mqtt://rabbit:1883', username: '/host:user' } },
  })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
})

// Helm writes the connector's configuration in another order.
function comparable(objects: readonly KubernetesObject[]): unknown[] {
  return sorted(objects).map((object) => {
    const text = at(object['data'], 'inferwire.yaml')
    return typeof text === 'string'
      ? { ...object, data: { 'inferwire.yaml': parse(text) as unknown } }
      : object
  })
}

// A release has one namespace.
function inOneNamespace({ broker, connector }: ManifestOptions): ManifestOptions {
  return {
    broker: broker === false ? false : { passwords: 'secret', ...broker, namespace: 'site' },
    connector: { ...connector, namespace: 'site' },
  }
}

function helm(command: 'template' | 'lint', options: ManifestOptions): ReturnType<typeof run> {
  const { broker, connector } = options
  const { modelToken, namespace: _, ...own } = connector === false ? {} : (connector ?? {})
  return helmWith(command, {
    ...own,
    ...(modelToken === undefined ? {} : { modelToken: { enabled: true, ...modelToken } }),
    mosquitto: broker === false ? { enabled: false } : broker,
  })
}

function helmWith(
  command: 'template' | 'lint',
  values: object,
  release = 'inferwire',
): ReturnType<typeof run> {
  const file = join(tempFolder('values'), 'values.yaml')
  writeFileSync(file, JSON.stringify(values))
  const words = command === 'template' ? ['template', release, CHART] : ['lint', '--strict', CHART]
  return run(kubernetesClient('helm'), [...words, '--namespace', 'site', '--values', file])
}
