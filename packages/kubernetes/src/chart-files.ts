// The files of charts/inferwire that are generated: broker configuration, access rules, and the schema of the values.
import { aclText } from '@inferwire/mosquitto'
import { mosquittoConf } from './mosquitto/index.ts'
import { EXAMPLE_PASSWORD_FILE } from './options.ts'
import { PATTERNS } from './patterns.ts'

type JsonSchema = Readonly<Record<string, unknown>>

const NOT_LATEST = { not: { pattern: ':latest$' } }

/** Path below charts/inferwire and text of every generated file; `configSchema` is the connector's. */
export function chartFiles(configSchema: JsonSchema): Map<string, string> {
  return new Map([
    ...(['2.0', '2.1'] as const).flatMap((version): [string, string][] => [
      [`files/mosquitto-${version}.conf`, confTemplate({ version, tls: undefined, expose: 'none' })],
      [
        `files/mosquitto-${version}-tls.conf`,
        confTemplate({ version, tls: { host: 'any', secretName: 'any' }, expose: 'none' }),
      ],
    ]),
    ['files/acl.txt', aclTemplate()],
    ['files/password.txt', EXAMPLE_PASSWORD_FILE],
    ['values.schema.json', `${JSON.stringify(valuesSchema(configSchema), null, 2)}\n`],
  ])
}

// The configuration with Helm's words for what follows the memory.
function confTemplate(broker: Omit<Parameters<typeof mosquittoConf>[0], 'memoryMi'>): string {
  return mosquittoConf({ ...broker, memoryMi: 512 })
    .replace(/^(memory_limit) \d+$/m, '$1 {{ .memoryLimit }}')
    .replace(/^(max_queued_bytes) \d+$/m, '$1 {{ .queuedBytes }}')
    .replace(/^(max_queued_messages) \d+$/m, '$1 {{ .queuedMessages }}')
}

// The access rules with Helm's words where the values decide.
function aclTemplate(): string {
  return aclText({ root: 'ROOT', connectorUser: 'CONNECTOR', observers: ['OBSERVER'] })
    .replace(/user OBSERVER\n(?:topic .*\n)+\n/, (block) => `{{ range .observers }}${block}{{ end }}`)
    .replaceAll('ROOT', '{{ .root }}')
    .replaceAll('CONNECTOR', '{{ .connector }}')
    .replaceAll('OBSERVER', '{{ . }}')
}

function valuesSchema(configSchema: JsonSchema): JsonSchema {
  const { $schema, title: _, ...config } = configSchema
  return {
    $schema,
    title: 'Values of the chart inferwire',
    ...map({
      global: { type: 'object', description: "Helm's own, for charts that contain this one." },
      name: text(`^(${PATTERNS.name.source.slice(1, -1)})?$`, "Name of the objects; empty: the release's."),
      image: {
        ...text(PATTERNS.image.source, 'Image of the connector, with a tag that is not latest.'),
        ...NOT_LATEST,
      },
      imagePullSecrets: list(
        text(PATTERNS.subdomain.source, 'Name of a Secret.'),
        "Secrets with the login of the image's registry.",
      ),
      replicas: whole(1, 'Connectors; more than one share the work.'),
      memoryMi: whole(
        96,
        "Memory limit in MiB. V8's heap gets three quarters of it, but leaves at least 56.",
      ),
      brokerSecret: text(
        `^$|${PATTERNS.subdomain.source}`,
        "Secret with the connector's password, key password; empty for none.",
      ),
      modelToken: map({
        enabled: { type: 'boolean', description: 'Mounts a ServiceAccount token for model servers.' },
        audience: text('', "Its audience; empty for the API server's."),
      }),
      config: {
        ...(inPod(config) as JsonSchema),
        description: 'The configuration of the connector: docs/reference/configuration.md',
      },
      mosquitto: mosquittoSchema(),
    }),
    allOf: [
      ofConfig({ admin: { properties: { host: { not: { pattern: PATTERNS.loopback.source } } } } }),
      {
        // The access rules of a broker that is installed are made of them.
        anyOf: [
          { properties: { mosquitto: { properties: { enabled: { const: false } } } } },
          ofConfig({
            root: { pattern: PATTERNS.root.source, not: { pattern: PATTERNS.notRoot.source } },
            broker: { properties: { username: { pattern: PATTERNS.userName.source } } },
          }),
        ],
      },
    ],
  }
}

// More about members of the configuration.
function ofConfig(properties: JsonSchema): JsonSchema {
  return { properties: { config: { properties } } }
}

// A pod has no files but those that are mounted.
function inPod(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(inPod)
  if (typeof schema !== 'object' || schema === null) return schema
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]: [string, JsonSchema]) =>
      PATTERNS.fileOption.test(key) && value['type'] === 'string'
        ? [key, { ...value, pattern: PATTERNS.mountedFile.source }]
        : [key, inPod(value)],
    ),
  )
}

function mosquittoSchema(): JsonSchema {
  return map({
    enabled: {
      type: 'boolean',
      description: 'Installs a broker; otherwise config.broker.url says where it is.',
    },
    name: text(PATTERNS.name.source, 'Name of its objects.'),
    version: oneOf(['2.0', '2.1'], 'Line of Mosquitto.'),
    image: { ...text(`^$|${PATTERNS.image.source}`, 'Image; empty: what fits the version.'), ...NOT_LATEST },
    passwords: oneOf(
      ['secret', 'configmap', 'existing'],
      'Where the password file is; existing: the Secret {name}-password is there already.',
    ),
    passwordFile: text('', 'Text of the password file (--set-file); empty: a user that nobody can be.'),
    observers: list(
      text(PATTERNS.userName.source, 'Name of a user.'),
      'Users who may see everything, for tools such as MQTT Explorer.',
    ),
    storage: text(PATTERNS.quantity.source, 'Size of the volume.'),
    accessMode: oneOf(['ReadWriteOnce', 'ReadWriteOncePod'], 'Access mode of the volume.'),
    memoryMi: whole(32, 'Memory limit in MiB.'),
    expose: oneOf(
      ['traefik', 'gateway', 'loadbalancer', 'nodeport', 'none'],
      'How clients outside of the cluster reach it.',
    ),
    traefikApi: oneOf(['v3', 'v2'], 'v3: traefik.io; v2: traefik.containo.us.'),
    gatewayClass: text(PATTERNS.subdomain.source, 'GatewayClass for expose: gateway.'),
    tls: map({
      host: text(`^$|${PATTERNS.subdomain.source}`, 'Name in the certificate; empty: no TLS.'),
      secretName: text(`^$|${PATTERNS.subdomain.source}`, 'Secret of type kubernetes.io/tls.'),
    }),
  })
}

function map(properties: Readonly<Record<string, JsonSchema>>): JsonSchema {
  return { type: 'object', additionalProperties: false, properties }
}

function text(pattern: string, description: string): JsonSchema {
  return { type: 'string', ...(pattern === '' ? {} : { pattern }), description }
}

function whole(minimum: number, description: string): JsonSchema {
  return { type: 'integer', minimum, maximum: 1_000_000, description }
}

function oneOf(values: readonly string[], description: string): JsonSchema {
  return { enum: values, description }
}

function list(items: JsonSchema, description: string): JsonSchema {
  return { type: 'array', items, description }
}
