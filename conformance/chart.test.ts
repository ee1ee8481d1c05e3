// Compares the Helm chart with the generator: the same choices must result in the same objects. Checks that invalid
// values are rejected with their path, and that the settings of `helm create` reach the pods.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  manifests,
  type BrokerOptions,
  type KubernetesObject,
  type ManifestOptions,
} from '@inferwire/kubernetes'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { run } from './fixtures/processes.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { kubernetesClient } from './manifests/clients.ts'
import { documents, sorted } from './manifests/documents.ts'
import { at, policyMistakes } from './manifests/policy.ts'
import { GIVEN, VARIANTS } from './manifests/variants.ts'

const CHART = fileURLToPath(new URL('../charts/inferwire', import.meta.url))
const { version: CHART_VERSION, appVersion: APP_VERSION } = parse(
  readFileSync(join(CHART, 'Chart.yaml'), 'utf8'),
) as { version: string; appVersion: string }

const NAME_LABEL = 'app.kubernetes.io/name'

describe('charts/inferwire', () => {
  test.each(VARIANTS)('with %s, renders the same objects as the generator', async (_, options) => {
    const { code, stdout, stderr } = await helm('template', options)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(comparable(documents(stdout))).toEqual(comparable(asRelease(manifests(inOneNamespace(options)))))
  })

  test.each(VARIANTS)('passes helm lint --strict with %s', async (_, options) => {
    expect(await helm('lint', options)).toMatchObject({ code: 0 })
  })

  test('installs the version of this checkout', () => {
    const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
      version: string
    }
    expect(APP_VERSION).toBe(version)
  })

  test.each([
    ['values', 'user alice'],
    ['mounted', 'secretName: iris-login'],
  ])('accepts the values of the block "%s" in the guide', async (mark, effect) => {
    const { code, stdout, stderr } = await helmWith('template', parse(guideBlock(mark)) as object)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain(effect)
  })

  test("admits other pods to the broker with the guide's NetworkPolicy", async () => {
    interface Policy {
      readonly podSelector: { readonly matchLabels: object }
      readonly ingress: readonly [{ readonly ports: readonly [object] }]
    }
    const { spec } = parse(guideBlock('policy')) as { spec: Policy }
    const objects = await rendered({ mosquitto: { expose: 'none' } })
    const [chart, yaml] = [objects, manifests({})].map((all) => specOf(all, 'Deployment').template.metadata)
    expect(at(chart, 'labels')).toMatchObject(spec.podSelector.matchLabels)
    expect(at(yaml, 'labels')).toMatchObject(spec.podSelector.matchLabels)
    const own = objects.filter(
      ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name === 'mosquitto',
    )
    const [{ ports }] = (only(own, 'NetworkPolicy')['spec'] as Policy).ingress
    expect(ports).toContainEqual({ protocol: 'TCP', ...spec.ingress[0].ports[0] })
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
    [
      'a model URL without a scheme',
      { config: { models: { iris: { url: 'foo' } } } },
      '/config/models/iris/url',
    ],
    ['an HTTP broker URL', { config: { broker: { url: 'http://broker' } } }, '/config/broker/url'],
    ['a string instead of a number', { replicaCount: '2' }, '/replicaCount'],
    ['a number instead of a version string', { mosquitto: { version: 2.1 } }, '/mosquitto/version'],
    ['an unknown value of expose', { mosquitto: { expose: 'ingress' } }, '/mosquitto/expose'],
    ['the tag latest', { image: { tag: 'latest' } }, '/image/tag'],
    ['the tag latest for the broker', { mosquitto: { image: { tag: 'latest' } } }, '/mosquitto/image/tag'],
    ['YAML in a name', { mosquitto: { fullnameOverride: 'a\n  b: c' } }, '/mosquitto/fullnameOverride'],
    ['a host that ends the routing rule', { mosquitto: { tls: { host: 'a`)' } } }, '/mosquitto/tls/host'],
    [
      'a host without a certificate',
      { mosquitto: { tls: { host: 'a.b' } } },
      'needs both host and secretName',
    ],
    [
      'a certificate without a host',
      { mosquitto: { tls: { secretName: 'a' } } },
      'needs both host and secretName',
    ],
    [
      'the same name for broker and connector',
      { fullnameOverride: 'mosquitto' },
      'would both be named "mosquitto"',
    ],
    [
      'the same label for broker and connector',
      { nameOverride: 'mosquitto' },
      'nameOverride cannot be "mosquitto"',
    ],
    ['probes of localhost', { config: { admin: { host: '127.0.0.1' } } }, '/config/admin/host'],
    [
      'a file that is not mounted',
      { config: { broker: { passwordFile: '/home/me/pw' } } },
      'config.broker.passwordFile is "/home/me/pw", but no volume is mounted there. ' +
        'Mounted: /etc/inferwire/config, /etc/inferwire/broker. Mount a Secret with this file: secretMounts',
    ],
    [
      'a file outside its mount',
      { config: { broker: { tls: { caFile: '/etc/inferwire/broker/../ca.crt' } } } },
      'config.broker.tls.caFile is',
    ],
    [
      'a token that is not mounted',
      {
        config: {
          models: { m: { url: 'http://m', credential: { kind: 'token-file', tokenFile: '/tmp/t' } } },
        },
      },
      'config.models.m.credential.tokenFile is "/tmp/t"',
    ],
    [
      'the secret of a named credential that is not mounted',
      {
        config: {
          credentials: {
            dex: {
              kind: 'oauth-token-exchange',
              tokenUrl: 'http://dex.auth.svc:5556/dex/token',
              clientId: 'inferwire',
              clientSecretFile: '/tmp/secret',
              subjectTokenFile: '/etc/inferwire/config/token',
            },
          },
          models: { m: { url: 'http://m', credential: 'dex' } },
        },
      },
      'config.credentials.dex.clientSecretFile is "/tmp/secret"',
    ],
    [
      'a Secret mounted over the configuration',
      { secretMounts: [{ secretName: 'a', mountPath: '/etc/inferwire' }] },
      'secretMounts has "/etc/inferwire", which overlaps with the mount /etc/inferwire/config',
    ],
    [
      'an extra volume mounted over the configuration',
      { extraVolumeMounts: [{ name: 'a', mountPath: '/etc/inferwire/config/' }] },
      'extraVolumeMounts has "/etc/inferwire/config", which overlaps with the mount /etc/inferwire/config',
    ],
    [
      'an extra volume with the name of a built-in volume',
      { extraVolumes: [{ name: 'config', emptyDir: {} }] },
      'extraVolumes cannot contain the name "config"',
    ],
    [
      'a label that a selector uses',
      { podLabels: { [NAME_LABEL]: 'x' } },
      `podLabels cannot contain "${NAME_LABEL}"`,
    ],
    [
      'a label that a selector of the broker uses',
      { mosquitto: { podLabels: { [NAME_LABEL]: 'x' } } },
      `mosquitto.podLabels cannot contain "${NAME_LABEL}"`,
    ],
    [
      'an annotation that the chart sets',
      { mosquitto: { podAnnotations: { 'checksum/config': 'x' } } },
      'mosquitto.podAnnotations cannot contain "checksum/config"',
    ],
    ['null for resources', { resources: null }, "'resources'"],
    ["null for the broker's TLS", { mosquitto: { tls: null } }, "'tls'"],
    [
      'the name of the password file instead of its content',
      { mosquitto: { passwordFile: 'credentials.txt' } },
      'mosquitto.passwordFile, line 1: expected user:$... Pass the file with --set-file',
    ],
    [
      'a password in plain text',
      { mosquitto: { passwordFile: '# users\nann:$6$a$b\n\nbob:secret\n' } },
      'mosquitto.passwordFile, line 4: expected user:$',
    ],
    [
      'a password file that has no effect',
      { mosquitto: { passwords: 'existing', passwordFile: 'ann:$6$a$b\n' } },
      'mosquitto.passwordFile has no effect with mosquitto.passwords "existing"',
    ],
    [
      'a relative mount path',
      { secretMounts: [{ secretName: 'a', mountPath: 'etc/../x' }] },
      '/secretMounts/0/mountPath',
    ],
    ['too little memory', { resources: { limits: { memory: '64Mi' } } }, 'resources.limits.memory is 64Mi'],
    [
      'a request above the limit',
      { resources: { limits: { memory: '96Mi' } } },
      'resources.requests.memory is 128Mi, above the limit of 96Mi',
    ],
    ['memory in bytes', { resources: { limits: { memory: '536870912' } } }, '/resources/limits/memory'],
    ['no memory limit', { resources: { limits: { memory: null } } }, '/resources/limits'],
    [
      'an external port without external access',
      { mosquitto: { expose: 'none', externalPort: 1883 } },
      'has no effect',
    ],
    ['a node port out of range', { mosquitto: { expose: 'nodeport', externalPort: 1883 } }, '30000 to 32767'],
    ['a user name with two levels', { config: { broker: { username: 'a/b' } } }, '/config/broker/username'],
    [
      'a user name with ACL rules',
      { config: { broker: { username: 'x\ntopic #' } } },
      '/config/broker/username',
    ],
    ['an observer with ACL rules', { mosquitto: { observers: ['x\u0001'] } }, '/mosquitto/observers/0'],
    ['a root with ACL rules', { config: { root: 'x\ntopic readwrite #' } }, '/config/root'],
    ['a root with %u', { config: { root: 'plant/%u' } }, '/config/root'],
    ['a root that starts with a space', { config: { root: ' plant' } }, '/config/root'],
    ['no broker', { mosquitto: { enabled: false } }, 'config.broker.url is required'],
    ['no probes', { config: { admin: { enabled: false } } }, 'config.admin must be enabled'],
  ])('rejects %s, and the error names the value', async (_, values, where) => {
    const { code, stderr } = await helmWith('template', values)
    expect(code).not.toBe(0)
    expect(stderr.replaceAll(/\s+/g, ' ')).toContain(where)
  })

  test.each([
    [{ name: 'edge' }, 'name was renamed: use fullnameOverride'],
    [{ replicas: 2 }, 'replicas was renamed: use replicaCount'],
    [{ memoryMi: 256 }, 'memoryMi was renamed: use resources.limits.memory'],
    [{ mosquitto: { name: 'broker' } }, 'mosquitto.name was renamed: use mosquitto.fullnameOverride'],
    [
      { mosquitto: { memoryMi: 256 } },
      'mosquitto.memoryMi was renamed: use mosquitto.resources.limits.memory',
    ],
    [{ image: 'a:1' }, 'image is now a map: use image.repository and image.tag'],
    [{ imagePullSecrets: ['a'] }, 'imagePullSecrets[0] is now a map: use {name: a}'],
    [
      { mosquitto: { image: 'a:1' } },
      'mosquitto.image is now a map: use mosquitto.image.repository and mosquitto.image.tag',
    ],
    [
      { config: { broker: { protocolVersion: 4 } } },
      'config.broker.protocolVersion was renamed: use config.broker.mqttVersion',
    ],
    [
      { config: { models: { m: { url: 'http://m', protocol: 'v2' } } } },
      'config.models.m.protocol was renamed: use config.models.m.protocolVersion',
    ],
    [
      { config: { models: { m: { url: 'http://m', as: 'n' } } } },
      'config.models.m.as was renamed: use config.models.m.modelName',
    ],
    [
      { config: { models: { m: { url: 'http://m', credential: { kind: 'token-file', file: '/t' } } } } },
      'config.models.m.credential.file was renamed: use config.models.m.credential.tokenFile',
    ],
  ])('rejects the old value %j, and the error names its replacement', async (values, message) => {
    const { code, stderr } = await helmWith('template', values)
    expect(code).not.toBe(0)
    expect(stderr).toContain(message)
  })

  test('accepts a root and a user name that only brokers other than Mosquitto allow, and an image with tag and digest', async () => {
    const { code, stderr } = await helmWith('template', {
      image: { tag: `1.2@sha256:${'0'.repeat(64)}` },
      mosquitto: { enabled: false },
      config: { root: 'a%b', broker: { url: 'mqtt://rabbit:1883', username: '/host:user' } },
    })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })
})

test('the chart accepts null for lists and maps that are empty by default', async () => {
  const pod = { podAnnotations: null, podLabels: null, nodeSelector: null, tolerations: null, affinity: null }
  const values = { ...pod, extraVolumes: null, extraVolumeMounts: null, secretMounts: null }
  const { template } = specOf(await rendered({ ...values, mosquitto: pod }), 'StatefulSet')
  expect(template.spec['tolerations']).toHaveLength(2)
})

test("the chart sets the StorageClass of the broker's volume, and the pull Secrets of its pod", async () => {
  const values = { storageClassName: 'fast', imagePullSecrets: [{ name: 'registry' }] }
  const objects = await rendered({ mosquitto: values })
  expect(only(objects, 'PersistentVolumeClaim')['spec']).toMatchObject({ storageClassName: 'fast' })
  expect(specOf(objects, 'Deployment').template.spec).toMatchObject({
    imagePullSecrets: [{ name: 'registry' }],
  })
  const none = await rendered({ mosquitto: { storageClassName: '-' } })
  expect(only(none, 'PersistentVolumeClaim')['spec']).toMatchObject({ storageClassName: '' })
})

test('the chart warns after the installation if there is no password file', async () => {
  const warning = 'WARNING: mosquitto.passwordFile is empty'
  expect(await notes({})).toContain(warning)
  expect(await notes({ mosquitto: { passwordFile: 'ann:$6$a$b\n' } })).not.toContain(warning)
  expect(await notes({ mosquitto: { passwords: 'existing' } })).not.toContain(warning)
})

describe('the settings that helm create generates', () => {
  const POD = {
    podAnnotations: { note: 'a' },
    podLabels: { team: 'vision' },
    nodeSelector: { disk: 'ssd' },
    tolerations: [{ key: 'gpu', operator: 'Exists' }],
    affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
    podSecurityContext: { fsGroup: 4000 },
    securityContext: { runAsUser: 4001 },
    resources: { requests: { cpu: '2', memory: '96Mi' }, limits: { memory: '1Gi', cpu: 2 } },
    image: { repository: 'registry.example.org/x', tag: '1.2', pullPolicy: 'Always' },
  }

  test.each([
    ['connector', 'StatefulSet', POD],
    ['broker', 'Deployment', { mosquitto: POD }],
  ])("reach the %s's pods", async (_, kind, values) => {
    const { template } = specOf(await rendered(values), kind)
    expect(template).toMatchObject({
      metadata: { annotations: POD.podAnnotations, labels: POD.podLabels },
      spec: {
        nodeSelector: POD.nodeSelector,
        affinity: POD.affinity,
        securityContext: { runAsNonRoot: true, fsGroup: 4000 },
        containers: [
          {
            image: 'registry.example.org/x:1.2',
            imagePullPolicy: 'Always',
            resources: POD.resources,
            securityContext: { runAsUser: 4001, allowPrivilegeEscalation: false },
          },
        ],
      },
    })
    expect((template.spec['tolerations'] as { key: string }[]).map(({ key }) => key)).toEqual([
      'node.kubernetes.io/not-ready',
      'node.kubernetes.io/unreachable',
      'gpu',
    ])
  })

  test('include a memory limit from which the heap and queue limits are derived', async () => {
    const objects = await rendered({ ...POD, mosquitto: POD })
    const [container] = specOf(objects, 'StatefulSet').template.spec['containers'] as { env: unknown }[]
    expect(container!.env).toContainEqual({
      name: 'NODE_OPTIONS',
      value: '--max-old-space-size=768 --max-semi-space-size=16',
    })
    const conf = objects.map(({ data }) => at(data, 'mosquitto.conf')).find((text) => text !== undefined)
    expect(conf).toMatch(/^max_queued_messages 204800$/m)
  })

  test('never permit a second broker on the same node, whatever the affinity', async () => {
    const objects = await rendered({ mosquitto: POD })
    expect(policyMistakes(objects, GIVEN)).toEqual([])
    const pod = specOf(objects, 'Deployment').template.spec
    expect(
      at(pod, 'affinity', 'podAntiAffinity', 'requiredDuringSchedulingIgnoredDuringExecution'),
    ).toHaveLength(1)
  })

  test('replace a built-in toleration that has the same key', async () => {
    const own = { key: 'node.kubernetes.io/unreachable', operator: 'Exists', tolerationSeconds: 5 }
    const pod = specOf(await rendered({ tolerations: [own] }), 'StatefulSet').template.spec
    expect(pod['tolerations']).toEqual([
      expect.objectContaining({ key: 'node.kubernetes.io/not-ready' }) as unknown,
      own,
    ])
  })

  test('name an existing ServiceAccount, or annotate the ServiceAccount that is created', async () => {
    const existing = await rendered({ serviceAccount: { create: false, name: 'mine' } })
    expect(existing.filter(({ kind }) => kind === 'ServiceAccount')).toEqual([])
    expect(specOf(existing, 'StatefulSet').template.spec).toMatchObject({ serviceAccountName: 'mine' })
    expect(only(existing, 'RoleBinding')).toMatchObject({ subjects: [{ name: 'mine' }] })
    const unnamed = await rendered({ serviceAccount: { create: false } })
    expect(specOf(unnamed, 'StatefulSet').template.spec).toMatchObject({ serviceAccountName: 'default' })
    expect(unnamed.filter(({ kind }) => kind === 'RoleBinding')).toEqual([])
    const account = { name: 'own', automount: true, annotations: { role: 'a' } }
    const created = await rendered({ serviceAccount: account })
    expect(only(created, 'ServiceAccount')).toMatchObject({
      metadata: { name: 'own', annotations: { role: 'a' } },
      automountServiceAccountToken: true,
    })
  })

  test.each([
    ['inferwire', {}, 'inferwire', 'inferwire'],
    ['edge', {}, 'edge-inferwire', 'inferwire'],
    ['inferwire-2', {}, 'inferwire-2', 'inferwire'],
    ['edge', { nameOverride: 'bridge' }, 'edge-bridge', 'bridge'],
    ['1abc', { fullnameOverride: 'hall' }, 'hall', 'inferwire'],
  ])('determine the names of objects in the release %s with %j', async (release, values, name, label) => {
    const objects = await rendered(values, release)
    expect(policyMistakes(objects, GIVEN)).toEqual([])
    expect(only(objects, 'StatefulSet').metadata).toMatchObject({
      name,
      labels: { 'app.kubernetes.io/name': label, 'app.kubernetes.io/instance': release },
    })
  })

  test.each([
    ['mosquitto', { fullnameOverride: 'mosquitto' }, 'would both be named "mosquitto"'],
    ['1abc', {}, 'would be named "1abc-inferwire"'],
    ['a'.repeat(43), {}, 'at most 52'],
    ['a.b', {}, 'would be named "a.b-inferwire"'],
  ])('reject the release name %s with %j', async (release, values, what) => {
    const { code, stderr } = await helmWith('template', values, release)
    expect(code).not.toBe(0)
    expect(stderr).toContain(what)
  })
})

describe('files that the configuration names', () => {
  const CONFIG = {
    broker: { tls: { caFile: '/etc/secrets/broker/ca.crt' } },
    credentials: { m: { kind: 'token-file', tokenFile: '/etc/secrets/m/token' } },
    models: { m: { url: 'https://m', credential: 'm' } },
  }

  test('may be in any Secret, which is mounted as a whole and read-only', async () => {
    const objects = await rendered({
      config: CONFIG,
      secretMounts: [
        { secretName: 'broker-ca', mountPath: '/etc/secrets/broker' },
        { secretName: 'm.login', mountPath: '/etc/secrets/m' },
      ],
    })
    const pod = specOf(objects, 'StatefulSet').template.spec
    expect(pod['volumes']).toEqual(
      expect.arrayContaining([
        { name: 'secret-0', secret: { secretName: 'broker-ca', defaultMode: 0o440 } },
        { name: 'secret-1', secret: { secretName: 'm.login', defaultMode: 0o440 } },
      ]),
    )
    const [{ volumeMounts }] = pod['containers'] as [{ volumeMounts: unknown }]
    expect(volumeMounts).toEqual(
      expect.arrayContaining([
        { name: 'secret-0', mountPath: '/etc/secrets/broker', readOnly: true },
        { name: 'secret-1', mountPath: '/etc/secrets/m', readOnly: true },
      ]),
    )
  })

  test('may be in extra volumes', async () => {
    const objects = await rendered({
      config: CONFIG,
      extraVolumes: [{ name: 'all', projected: { sources: [{ configMap: { name: 'ca' } }] } }],
      extraVolumeMounts: [{ name: 'all', mountPath: '/etc/secrets/', readOnly: true }],
    })
    const pod = specOf(objects, 'StatefulSet').template.spec
    expect(at(pod, 'volumes')).toContainEqual({
      name: 'all',
      projected: { sources: [{ configMap: { name: 'ca' } }] },
    })
    expect(policyMistakes(objects, { ...GIVEN, configMaps: ['ca'] })).toEqual([])
  })
})

test("the chart accepts any key in a model's example", async () => {
  const example = { body: { instances: [{ imageFile: 'x.png' }] } }
  await rendered({ config: { models: { m: { url: 'http://m', example } } } })
})

// The chart writes the configuration's keys in another order than the generator.
function comparable(objects: readonly KubernetesObject[]): unknown[] {
  return sorted(objects).map((object) => {
    const text = at(object['data'], 'inferwire.yaml')
    return typeof text === 'string'
      ? { ...object, data: { 'inferwire.yaml': parse(text) as unknown } }
      : object
  })
}

// Adds the labels of a release.
function asRelease(objects: readonly KubernetesObject[]): KubernetesObject[] {
  const text = JSON.stringify(objects)
  const managed = text.replaceAll(
    '"app.kubernetes.io/managed-by":"kubectl"',
    '"app.kubernetes.io/managed-by":"Helm"',
  )
  return (JSON.parse(managed) as KubernetesObject[]).map((object) => {
    const { metadata } = object
    const labels = { ...metadata.labels, 'helm.sh/chart': `inferwire-${CHART_VERSION}` }
    return { ...object, metadata: { ...metadata, labels } }
  })
}

// All objects of a release are in one namespace, and have the release's name as their instance label.
function inOneNamespace({ broker, connector }: ManifestOptions): ManifestOptions {
  const place = { namespace: 'site', instance: 'inferwire' }
  return {
    broker: broker === false ? false : { passwords: 'secret', ...broker, ...place },
    connector: { ...connector, ...place },
  }
}

function helm(command: 'template' | 'lint', { broker, connector }: ManifestOptions): ReturnType<typeof run> {
  const { modelToken, namespace: _, ...own } = connector === false ? {} : (connector ?? {})
  const { name, image, imagePullSecrets = [], replicas, memoryMi, ...same } = own
  return helmWith(command, {
    ...same,
    ...valuesOf({ name, image, memoryMi }, 128),
    ...(replicas === undefined ? {} : { replicaCount: replicas }),
    imagePullSecrets: imagePullSecrets.map((secret) => ({ name: secret })),
    ...(modelToken === undefined ? {} : { modelToken: { enabled: true, ...modelToken } }),
    mosquitto: broker === false ? { enabled: false } : brokerValues(broker ?? {}),
  })
}

function brokerValues({ name, image, memoryMi, ...same }: BrokerOptions): object {
  return { ...same, ...valuesOf({ name, image, memoryMi }, 64) }
}

// Returns the chart values for options that are named as in `helm create`. `requestMi` is the default memory request.
function valuesOf(
  {
    name,
    image,
    memoryMi,
  }: { name: string | undefined; image: string | undefined; memoryMi: number | undefined },
  requestMi: number,
): object {
  const [, repository, tag] = /^(.*):([^/]*)$/.exec(image ?? '') ?? []
  return {
    ...(name === undefined ? {} : { fullnameOverride: name }),
    ...(image === undefined ? {} : { image: { repository, tag } }),
    ...(memoryMi === undefined
      ? {}
      : {
          resources: {
            requests: { memory: `${Math.min(requestMi, memoryMi)}Mi` },
            limits: { memory: `${memoryMi}Mi` },
          },
        }),
  }
}

async function rendered(values: object, release?: string): Promise<KubernetesObject[]> {
  const { code, stdout, stderr } = await helmWith('template', values, release)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return documents(stdout)
}

// Returns the text that Helm prints after an installation.
async function notes(values: object): Promise<string> {
  const { code, stdout, stderr } = await helmWith('install', values)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return stdout.slice(stdout.indexOf('NOTES:'))
}

// Returns the guide's YAML block that has the given mark.
function guideBlock(mark: string): string {
  const page = readFileSync(new URL('../docs/guides/kubernetes.md', import.meta.url), 'utf8')
  return new RegExp(`<!-- ${mark} -->\\n\\n\`\`\`yaml\\n([\\s\\S]*?)\`\`\``).exec(page)![1]!
}

function only(objects: readonly KubernetesObject[], kind: string): KubernetesObject {
  const found = objects.filter((object) => object.kind === kind)
  expect(found).toHaveLength(1)
  return found[0]!
}

function specOf(
  objects: readonly KubernetesObject[],
  kind: string,
): { readonly template: { readonly metadata: unknown; readonly spec: Readonly<Record<string, unknown>> } } {
  return only(objects, kind)['spec'] as ReturnType<typeof specOf>
}

function helmWith(
  command: 'template' | 'lint' | 'install',
  values: object,
  release = 'inferwire',
): ReturnType<typeof run> {
  const file = join(tempFolder('values'), 'values.yaml')
  writeFileSync(file, JSON.stringify(values))
  const words = {
    template: ['template', release, CHART],
    lint: ['lint', '--strict', CHART],
    install: ['install', release, CHART, '--dry-run=client'],
  }
  return run(kubernetesClient('helm'), [...words[command], '--namespace', 'site', '--values', file])
}
