// Compares resources/ and `inferwire manifests` with the generator, and checks the generated objects for mistakes
// that no API server reports.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadConfig } from '@inferwire/connector'
import {
  EXAMPLE_PASSWORD_FILE,
  entryPorts,
  manifestParts,
  manifests,
  mosquittoConf,
  OptionError,
  yamlText,
  type KubernetesObject,
  type ManifestOptions,
} from '@inferwire/kubernetes'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { accepts, freePort } from './fixtures/free-port.ts'
import { inferwire } from './fixtures/inferwire.ts'
import { run, spawnTied } from './fixtures/processes.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { makeCertificate } from './manifests/certificate.ts'
import { kubernetesClient } from './manifests/clients.ts'
import { documents, sorted } from './manifests/documents.ts'
import { at, policyMistakes } from './manifests/policy.ts'
import { GIVEN, MODELS, TLS, VARIANTS } from './manifests/variants.ts'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const CERTIFICATE = makeCertificate()
const FILES: Readonly<Record<string, string>> = { ...CERTIFICATE, caFile: CERTIFICATE.certFile }

describe('the files in resources/', () => {
  test('are the output of the generator', async () => {
    const { code, stderr } = await run(process.execPath, ['scripts/resources.mjs', '--check'], { cwd: ROOT })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })

  test.each([
    ['mosquitto', 'mosquitto'],
    ['inferwire', 'inferwire'],
    ['kserve', 'models'],
  ])('in the folder %s can be applied with -n %s', (folder, namespace) => {
    const objects = filesOf(`resources/${folder}`).map(onlyObject)
    expect(objects.length).toBeGreaterThan(0)
    for (const { apiVersion, kind, metadata } of objects) {
      expect({ apiVersion, kind, metadata }).toMatchObject({
        apiVersion: expect.stringMatching(/v\d/) as string,
        kind: expect.stringMatching(/^[A-Z]/) as string,
        metadata: { namespace },
      })
    }
  })

  test("use the guide's names for ConfigMaps and their keys", () => {
    const config = onlyObject('resources/mosquitto/cm-mosquitto-config.yaml')
    const password = onlyObject('resources/mosquitto/cm-mosquitto-password.yaml')
    expect(config).toMatchObject({
      kind: 'ConfigMap',
      data: { 'mosquitto.conf': expect.any(String) as string },
    })
    expect(password).toMatchObject({
      kind: 'ConfigMap',
      metadata: { name: 'mosquitto-password', namespace: 'mosquitto' },
      data: { 'password.txt': expect.stringMatching(/^\w+:\$7\$\d+\$.{16}\$.{88}\n$/) as string },
    })
  })

  test('have matching settings for broker and connector', () => {
    const objects = ['mosquitto', 'inferwire'].flatMap((name) => filesOf(`resources/${name}`).map(onlyObject))
    expect(policyMistakes(objects, GIVEN)).toEqual([])
    const options = { broker: { observers: ['admin'] }, connector: { config: { models: MODELS } } }
    expect(objects).toEqual(expect.arrayContaining(manifests(options) as unknown[]))
  })

  test.each([
    ['mosquitto-secret', { passwords: 'secret' }, []],
    // The overlay keeps the base's route in addition to its own routes.
    [
      'mosquitto-tls',
      { tls: { host: 'mqtt.example.org', secretName: 'mosquitto-tls' } },
      [find(manifests(), 'IngressRouteTCP')],
    ],
    ['mosquitto-2.1', { version: '2.1' }, []],
  ] as const)(
    "in overlays/%s are the output of the generator with the overlay's option",
    async (name, broker, kept) => {
      const built = await run(kubernetesClient('kubectl'), [
        'kustomize',
        join(ROOT, 'resources/overlays', name),
      ])
      expect(built).toMatchObject({ code: 0, stderr: '' })
      expect(withSortedVolumes(documents(built.stdout))).toEqual(
        withSortedVolumes([
          ...manifestParts({ broker: { observers: ['admin'], ...broker } }).broker,
          ...kept,
        ]),
      )
    },
  )

  test('contain Traefik files that open the entry point on the container and the Service', () => {
    const values = read('resources/traefik/helm-values.yaml') as Record<string, unknown>
    expect(at(values, 'ports', 'mqtt')).toEqual({
      port: 5883,
      expose: { default: true },
      exposedPort: 5883,
      protocol: 'TCP',
    })
    const k3s = onlyObject('resources/traefik/k3s-helmchartconfig.yaml')
    expect(parse(at(k3s['spec'], 'valuesContent') as string)).toEqual(values)
    for (const [entry, port, suffix] of [
      ['mqtt', 5883, ''],
      ['mqtts', 8883, '-mqtts'],
    ]) {
      const steps = read(`resources/traefik/deployment-patch${suffix}.yaml`) as { value: unknown }[]
      expect(steps.map(({ value }) => value)).toEqual([
        `--entrypoints.${entry}.address=:${port}/tcp`,
        { name: entry, containerPort: port, protocol: 'TCP' },
      ])
      const [step] = read(`resources/traefik/service-patch${suffix}.yaml`) as { value: unknown }[]
      expect(step!.value).toMatchObject({ port, targetPort: entry })
    }
  })
})

describe('the objects', () => {
  test.each(VARIANTS)('comply with the policy for the variant: %s', (_, options) => {
    expect(policyMistakes(manifests(options), GIVEN)).toEqual([])
  })

  test.each(VARIANTS)(
    'contain a configuration that the connector accepts, for the variant: %s',
    (_, options) => {
      expect(connectorConfigOf(manifests(options)).admin).toMatchObject({ host: '0.0.0.0', enabled: true })
    },
  )

  test('configure a shared subscription only if there are several connectors', () => {
    const [one, two] = [1, 2].map((replicas) => connectorConfigOf(manifests({ connector: { replicas } })))
    expect(one!.broker.share).toBeUndefined()
    expect(two!.broker.share).toBe('inferwire')
  })

  test('make the kubelet wait until the drain has ended', () => {
    for (const [, options] of VARIANTS) {
      const objects = manifests(options)
      const pod = at(find(objects, 'StatefulSet')['spec'], 'template', 'spec')
      const seconds = at(pod, 'terminationGracePeriodSeconds') as number
      expect(seconds * 1000).toBeGreaterThanOrEqual(connectorConfigOf(objects).drain.timeoutMs + 5000)
    }
  })

  test.each([undefined, TLS])('contain a configuration that Mosquitto accepts (TLS: %j)', async (tls) => {
    const { folder } = makeCertificate()
    const ports = [await freePort(), await freePort(), await freePort()]
    const { data } = find(manifests({ broker: { observers: ['ann'] } }), 'ConfigMap')
    writeFileSync(join(folder, 'acl.txt'), (data as Record<string, string>)['acl.txt']!)
    writeFileSync(join(folder, 'password.txt'), EXAMPLE_PASSWORD_FILE)
    let next = 0
    const text = mosquittoConf({ version: '2.0', tls, expose: 'none', memoryMi: 64 })
      .replaceAll(/\/mosquitto\/(?:config|password|tls|data)/g, folder)
      .replaceAll(/^listener \d+$/gm, () => `listener ${ports[next++]} 127.0.0.1`)
      .replace(/^log_type notice$/m, 'log_type all')
    // If started by root, Mosquitto would switch to a user without access to this folder.
    writeFileSync(join(folder, 'mosquitto.conf'), `${process.getuid?.() === 0 ? 'user root\n' : ''}${text}`)
    const broker = spawnTied('mosquitto', ['-c', join(folder, 'mosquitto.conf')], {
      // Debian installs servers in /usr/sbin, which is not in the PATH of ordinary users.
      env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let log = ''
    for (const stream of [broker.stdout!, broker.stderr!]) {
      stream.on('data', (chunk: Buffer) => (log += chunk.toString('utf8')))
    }
    for (const port of ports.slice(0, tls === undefined ? 2 : 3)) {
      expect(await accepts(port, 10_000, () => broker.exitCode !== null), log).toBe(true)
    }
    expect(log).not.toMatch(/error|unknown|invalid/i)
  })

  test('make Mosquitto 2.0 and 2.1 open symbolic links, accept large packets and save queues', () => {
    // Debian has only Mosquitto 2.0, so this test checks the text of the configuration for 2.1.
    const [old, young] = (['2.0', '2.1'] as const).map((version) =>
      mosquittoConf({ version, tls: undefined, expose: 'traefik', memoryMi: 64 }),
    )
    for (const text of [old!, young!]) {
      expect(text).toMatch(/^allow_anonymous false$/m)
      expect(text).toMatch(/^max_packet_size 67108864$/m)
      expect(text).toMatch(/^set_tcp_nodelay true$/m)
    }
    expect(old).toMatch(/^persistence true$/m)
    // The plugin and `persistence true` are mutually exclusive.
    expect(young).not.toMatch(/^persistence true$/m)
    expect(young).toMatch(
      /^global_plugin \/usr\/lib\/mosquitto_persist_sqlite\.so\nplugin_opt_flush_period 0\n/m,
    )
    for (const version of ['2.0', '2.1'] as const) {
      const [container] = at(
        find(manifests({ broker: { version } }), 'Deployment')['spec'],
        'template',
        'spec',
        'containers',
      ) as [Record<string, unknown>]
      expect(container['image']).toMatch(
        new RegExp(`^eclipse-mosquitto:${version.replace('.', '\\.')}\\.\\d+`),
      )
      expect(container['env']).toEqual([{ name: 'MOSQUITTO_UNSAFE_ALLOW_SYMLINKS', value: '1' }])
    }
  })

  test.each<[string, ManifestOptions, string]>([
    ['an image without a tag', { connector: { image: 'inferwire' } }, 'connector.image'],
    ['the tag latest', { broker: { image: 'eclipse-mosquitto:latest' } }, 'broker.image'],
    ['an invalid name', { connector: { name: 'My_Name' } }, 'connector.name'],
    ['YAML in a name', { broker: { namespace: 'a\nb: c' } }, 'broker.namespace'],
    ['no connector', { connector: { replicas: 0 } }, 'connector.replicas'],
    ['a fraction of a connector', { connector: { replicas: 1.5 } }, 'connector.replicas'],
    ['too little memory', { connector: { memoryMi: 8 } }, 'connector.memoryMi'],
    ['a volume without a size', { broker: { storage: 'big' } }, 'broker.storage'],
    ['a Gateway with TLS', { broker: { expose: 'gateway', tls: TLS } }, 'broker.tls'],
    ['a host that ends the routing rule', { broker: { tls: { ...TLS, host: '*`)' } } }, 'broker.tls.host'],
    ['an observer with ACL rules', { broker: { observers: ['a\ntopic #'] } }, 'broker.observers'],
    [
      "the connector's user as an observer",
      { broker: { observers: ['edge'] }, connector: { config: { broker: { username: 'edge' } } } },
      'broker.observers',
    ],
    ['a port that Traefik uses itself', { broker: { externalPort: 8443 } }, 'broker.externalPort'],
    ['a privileged port for Traefik', { broker: { externalPort: 443 } }, 'broker.externalPort'],
    ['no broker at all', { broker: false }, 'connector.config'],
    ['no probes', { connector: { config: { admin: { enabled: false } } } }, 'connector.config'],
    [
      'an external port without external access',
      { broker: { expose: 'none', externalPort: 1883 } },
      'broker.externalPort',
    ],
    [
      'a node port out of range',
      { broker: { expose: 'nodeport', externalPort: 1883 } },
      'broker.externalPort',
    ],
  ])('cannot be generated with %s', (_, options, option) => {
    expect(() => manifests(options)).toThrow(
      expect.objectContaining({ constructor: OptionError, option }) as Error,
    )
  })
})

test('a repeated observer appears in the access rules only once', () => {
  const [config] = manifests({ broker: { observers: ['ann', 'ann'] } })
  expect(String(at(config!['data'], 'acl.txt')).match(/^user ann$/gm)).toHaveLength(1)
})

test('a key that ends in "File" in the example of a model is not treated as a file name', () => {
  const example = { operation: 'predict', body: { xFile: '/nope' } }
  const connector = { config: { models: { iris: { ...MODELS.iris, example } } } }
  expect(() => manifests({ connector })).not.toThrow()
})

test("Traefik's unused entry point is omitted if it has the same port as the entry point in use", () => {
  expect(entryPorts({ externalPort: 8883 })).toEqual({ mqtt: 8883 })
  expect(entryPorts({ externalPort: 5883, tls: TLS })).toEqual({ mqtts: 5883 })
  expect(entryPorts({ externalPort: 8884, tls: TLS })).toEqual({ mqtt: 5883, mqtts: 8884 })
})

describe('the policy', () => {
  test.each<[string, (objects: Record<string, any>) => void]>([
    [
      'may run as root',
      ({ Deployment }) => delete Deployment.spec.template.spec.securityContext.runAsNonRoot,
    ],
    [
      'not pinned',
      ({ Deployment }) => (Deployment.spec.template.spec.containers[0].image = 'mosquitto:latest'),
    ],
    ['two pods on the volume', ({ Deployment }) => (Deployment.spec.strategy = { type: 'RollingUpdate' })],
    ['two pods on the volume', ({ Deployment }) => (Deployment.spec.replicas = 2)],
    ['two pods on the volume', ({ Deployment }) => delete Deployment.spec.template.spec.affinity],
    [
      'two pods on the volume',
      (each) => (each['PersistentVolumeClaim'].spec.accessModes = ['ReadWriteMany']),
    ],
    ['more than its limit', (each) => limitOf(each['StatefulSet'], '64Mi')],
    ['is not a volume', ({ Deployment }) => Deployment.spec.template.spec.volumes.pop()],
    ['which does not exist', ({ StatefulSet }) => (StatefulSet.spec.template.spec.serviceAccountName = 'x')],
    ['selects 0 workloads', ({ Service }) => (Service.spec.selector = { a: 'b' })],
    ['which no container has', ({ Service }) => (Service.spec.ports[0].targetPort = 'x')],
    ['without TLS', (each) => (each['IngressRouteTCP'].spec.routes[0].match = 'HostSNI(`a.b`)')],
    ['which is not a Service', (each) => (each['IngressRouteTCP'].spec.routes[0].services[0].port = 1884)],
    ['no container listens', (each) => (each['NetworkPolicy'].spec.ingress[0].ports[0].port = 1)],
    ['a role has a wildcard', ({ Role }) => (Role.rules[0].verbs = ['*'])],
    [
      'does not select its own',
      ({ StatefulSet }) => (StatefulSet.spec.template.metadata.labels = { a: 'b' }),
    ],
    ['has no label app.kubernetes.io/version', ({ Service }) => (Service.metadata.labels = {})],
    [
      'selects by the label version',
      ({ StatefulSet }) => (StatefulSet.spec.selector.matchLabels['app.kubernetes.io/version'] = '1'),
    ],
  ])('reports "%s"', (what, edit) => {
    expect(mistakesAfter(edit).join('\n')).toContain(what)
  })
})

describe('inferwire manifests', () => {
  test('prints the output of the generator', async () => {
    const folder = tempFolder('manifests')
    const passwordFile = join(folder, 'credentials.txt')
    const made = await inferwire(['passwd', '-c', '-b', passwordFile, 'cam7', 'secret'])
    expect(made.code).toBe(0)
    const config = join(folder, 'inferwire.yaml')
    // The files that the configuration names exist only in the pod.
    const credential = { kind: 'token-file', tokenFile: '/var/run/secrets/inferwire/token' }
    const tls = { caFile: '/etc/secrets/ca/ca.crt' }
    writeFileSync(config, yamlText({ models: { digits: { url: 'https://digits:8080', credential, tls } } }))
    const flags =
      `--expose loadbalancer --mosquitto 2.1 --namespace edge --mosquitto-namespace brokers --replicas 2 ` +
      `--tls-host ${TLS.host} --tls-secret ${TLS.secretName} --secret --password-file ${passwordFile} ` +
      `--observer ann --model iris=http://iris:8080 --config ${config} --memory 256 --model-token models ` +
      `--image inferwire:9 --port 8884 --mount-secret ca=/etc/secrets/ca`
    const printed = await inferwire(['manifests', ...flags.split(' ')])
    expect(printed).toMatchObject({ code: 0, stderr: '' })
    const wanted = manifests({
      broker: {
        namespace: 'brokers',
        version: '2.1',
        expose: 'loadbalancer',
        externalPort: 8884,
        tls: TLS,
        passwords: 'secret',
        passwordFile: readFileSync(passwordFile, 'utf8'),
        observers: ['ann'],
      },
      connector: {
        namespace: 'edge',
        replicas: 2,
        image: 'inferwire:9',
        memoryMi: 256,
        modelToken: { audience: 'models' },
        secretMounts: [{ secretName: 'ca', mountPath: '/etc/secrets/ca' }],
        config: {
          models: {
            digits: { url: 'https://digits:8080', credential, tls },
            iris: { url: 'http://iris:8080' },
          },
        },
      },
    })
    expect(documents(printed.stdout)).toEqual(wanted)
    expect(policyMistakes(wanted, { secrets: [...GIVEN.secrets, 'ca'] })).toEqual([])
  })

  test("with --only mosquitto, prints only the broker's objects", async () => {
    const { stdout } = await inferwire(['manifests', '--only', 'mosquitto'])
    expect(documents(stdout)).toEqual(manifestParts().broker)
  })

  test('with --only kubeflow, prints the policies outside the namespace of the connector', async () => {
    const model = ['--model-namespace', 'alice', '--inference-service', 'iris']
    const flags = ['--only', 'kubeflow', ...model, '--mode', 'knative', '--namespace', 'edge']
    const { code, stdout, stderr } = await inferwire(['manifests', ...flags])
    expect(code).toBe(0)
    expect(stderr).toContain('With --model-token, the policies also check the identity')
    const kubeflow = { modelNamespace: 'alice', mode: 'knative', inferenceServices: ['iris'] } as const
    expect(documents(stdout)).toEqual(manifestParts({ connector: { namespace: 'edge', kubeflow } }).kubeflow)
    const own = ['--only', 'kubeflow', '--model-namespace', 'alice', '--namespace', 'alice']
    expect(await inferwire(['manifests', ...own])).toEqual({
      code: 0,
      stdout: '',
      stderr: 'No policy is needed: Kubeflow allows calls between pods of the namespace "alice".\n',
    })
  })

  test('prints the values for Traefik with the port of the route', async () => {
    const { code, stdout, stderr } = await inferwire(['manifests', '--only', 'traefik', '--port', '1883'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const { ports } = parse(stdout) as { ports: Record<string, { port?: number; exposedPort?: number }> }
    expect(ports['mqtt']).toMatchObject({ port: 1883, exposedPort: 1883 })
    expect(ports['mqtts']).toMatchObject({ port: 8883, exposedPort: 8883 })
    expect(parse(await printed(['--only', 'traefik']))).toEqual(read('resources/traefik/helm-values.yaml'))
  })

  test('mentions that Traefik must listen on the changed port', async () => {
    const argv = ['--only', 'mosquitto', '--existing-secret', '--port', '1883']
    const { code, stderr } = await inferwire(['manifests', ...argv])
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr:
        'Traefik must listen on port 1883. For the values of its Helm chart: ' +
        'inferwire manifests --only traefik --port 1883\n',
    })
  })

  test('warns about a broker without users', async () => {
    const flags = ['--model', 'iris=http://iris']
    expect((await inferwire(['manifests', ...flags])).stderr).toMatch(
      /^warning: no --password-file: the broker will reject every client, [^\n]+--existing-secret\.\n$/,
    )
    await printed([...flags, '--existing-secret'])
    await printed([...flags, '--only', 'connector'])
  })

  test('warns if the configuration names a broker other than the generated one', async () => {
    const config = join(tempFolder('manifests'), 'inferwire.yaml')
    writeFileSync(config, 'broker: { url: mqtt://broker.example }\n')
    const flags = ['--config', config, '--existing-secret']
    expect((await inferwire(['manifests', ...flags])).stderr).toBe(
      `warning: ${config} connects the connector to another broker, broker.example. ` +
        'To print no broker, use --only connector.\n',
    )
    await printed(['--config', config, '--only', 'connector'])
    await printed([...flags, '--mosquitto-namespace', 'example', '--only', 'mosquitto'])
  })

  test("explains that the connector's Secret already provides the password", async () => {
    const config = join(tempFolder('manifests'), 'inferwire.yaml')
    writeFileSync(config, 'broker: { passwordFile: /run/secrets/password }\n')
    const { code, stderr } = await inferwire(['manifests', '--config', config, '--only', 'connector'])
    expect(code).toBe(64)
    expect(stderr).toContain(
      'Remove the option: the Secret inferwire-broker provides the password (key `password`).',
    )
  })

  test('if a file is not mounted, lists the mounts and names the flag that adds one', async () => {
    const config = join(tempFolder('manifests'), 'inferwire.yaml')
    writeFileSync(config, 'broker: { url: mqtts://broker, tls: { caFile: /etc/secrets/ca/ca.crt } }\n')
    const flags = ['--config', config, '--mount-secret', 'iris-login=/etc/secrets/iris']
    const { code, stderr } = await inferwire(['manifests', ...flags])
    expect(code).toBe(64)
    expect(stderr).toContain(
      `${config} has broker.tls.caFile "/etc/secrets/ca/ca.crt", but no volume is mounted there. ` +
        'Mounted: /etc/inferwire/config, /etc/inferwire/broker, /etc/secrets/iris',
    )
    expect(stderr).toContain('--mount-secret NAME=FOLDER')
  })

  test.each([
    [['--mount-secret', 'ca'], 64, 'expected NAME=FOLDER'],
    [['--mount-secret', 'ca=etc/ca'], 64, 'expected an absolute path'],
    [['--mount-secret', 'ca=/etc/inferwire'], 64, 'overlaps with the mount /etc/inferwire/config'],
    [['--port', '65536'], 64, 'expected a port from 1 to 65535'],
    [['--image', 'inferwire'], 64, '--image is "inferwire"'],
    [['--expose', 'ingress'], 64, 'traefik'],
    [['--replicas', 'two'], 64, 'whole number'],
    [['--tls-host', 'a.b'], 64, 'must be used together'],
    [
      ['--expose', 'gateway', '--tls-host', 'a.b', '--tls-secret', 'c'],
      64,
      '--tls-host cannot be used with --expose gateway',
    ],
    [['--existing-secret', '--secret'], 64, 'cannot be combined'],
    [['--existing-secret', '--password-file', '/nowhere'], 64, 'cannot be combined'],
    [['--expose', 'none', '--port', '1884'], 64, '--port has no effect with --expose none'],
    [['--port', '8443'], 64, '--port is 8443, the port of Traefik\'s entry point "websecure"'],
    [['--memory', '8'], 64, '--memory is 8'],
    [['--namespace', 'A'], 64, '--namespace is "A"'],
    [['--observer', 'inferwire'], 64, '--observer contains "inferwire"'],
    [['--only', 'mosquitto', '--model', 'a'], 64, '--model has no effect with --only mosquitto'],
    [
      ['--only', 'connector', '--secret', '--password-file', '/nowhere'],
      64,
      '--secret, --password-file have no effect with --only connector',
    ],
    [['--only', 'traefik', '--memory', '512'], 64, '--memory has no effect with --only traefik'],
    [['--only', 'kubeflow', '--mode', 'knative'], 64, '--only kubeflow requires --model-namespace'],
    [['--ambient'], 64, '--ambient requires --model-namespace'],
    [['--model-namespace', 'a'], 64, '--inference-service is empty, so no policy would allow'],
    [['--model-namespace', 'A'], 64, '--model-namespace is "A"; expected the name of a namespace'],
    [
      ['--model-namespace', 'a', '--inference-service', 'b', '--ambient', '--model-token'],
      64,
      '--ambient cannot be combined with a token for models',
    ],
    [['--password-file', '/nowhere'], 66, '/nowhere'],
    [['--client-ca-secret', 'ca'], 64, '--client-ca-secret requires --tls-host'],
    [['--config', '/nowhere.yaml'], 78, '/nowhere.yaml'],
    [['--model', 'iris'], 78, 'expected NAME=URL'],
    [['--model', 'iris=foo'], 78, 'command line: models.iris.url: "foo"'],
  ])('%j exits with %i and prints a remedy', async (flags, code, what) => {
    const ended = await inferwire(['manifests', ...flags])
    expect(ended).toMatchObject({ code, stdout: '' })
    expect(ended.stderr).toContain(what)
  })

  test('reports a mistake in the configuration', async () => {
    const config = join(tempFolder('manifests'), 'inferwire.yaml')
    writeFileSync(config, 'models: { iris: { ulr: http://iris } }\n')
    const { code, stderr, stdout } = await inferwire(['manifests', '--config', config])
    expect({ code, stdout }).toEqual({ code: 78, stdout: '' })
    expect(stderr).toContain('models.iris.ulr')
  })
})

async function printed(flags: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await inferwire(['manifests', ...flags])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return stdout
}

function mistakesAfter(edit: (objects: Record<string, any>) => void): string[] {
  const discovery = { enabled: true, namespaces: ['models'] }
  const objects = structuredClone(manifests({ connector: { config: { discovery } } })) as any[]
  edit(Object.fromEntries(objects.map((object) => [object.kind as string, object])))
  return policyMistakes(objects as KubernetesObject[], GIVEN)
}

function limitOf(object: any, memory: string): void {
  object.spec.template.spec.containers[0].resources.limits.memory = memory
}

function filesOf(folder: string): string[] {
  return readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => `${folder}/${name}`)
}

function read(file: string): unknown {
  return parse(readFileSync(join(ROOT, file), 'utf8'))
}

function onlyObject(file: string): KubernetesObject {
  const [object, ...others] = documents(readFileSync(join(ROOT, file), 'utf8'))
  expect(others).toEqual([])
  return object!
}

function find(objects: readonly KubernetesObject[], kind: string): KubernetesObject {
  return objects.find((object) => object.kind === kind)!
}

// Creates the files that the configuration names; in the cluster, they are mounted in the pod.
function connectorConfigOf(objects: readonly KubernetesObject[]): ReturnType<typeof loadConfig> {
  const folder = tempFolder('config')
  const secret = join(folder, 'secret')
  writeFileSync(secret, 'secret\n')
  const object = objects.find(({ data }) => at(data, 'inferwire.yaml') !== undefined)!
  const text = (at(object['data'], 'inferwire.yaml') as string).replaceAll(
    /(\w*[fF]ile): (\S+)/g,
    (_, key) => {
      return `${String(key)}: ${FILES[String(key)] ?? secret}`
    },
  )
  const file = join(folder, 'inferwire.yaml')
  writeFileSync(file, text)
  return loadConfig({ file, env: { INFERWIRE_NAME: 'inferwire-0' } })
}

// A strategic merge moves the changed volumes to the front, so the order of the volumes is ignored.
function withSortedVolumes(objects: readonly KubernetesObject[]): KubernetesObject[] {
  const copies = structuredClone(sorted(objects))
  for (const { spec } of copies) {
    const volumes = at(spec, 'template', 'spec', 'volumes') as { name: string }[] | undefined
    volumes?.sort((a, b) => a.name.localeCompare(b.name))
  }
  return copies
}
