// The JSON Schema of the chart's values.
import { PATTERNS } from './patterns.ts'

/** A JSON Schema, or part of one. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** Returns the schema. `configSchema` is the schema of the connector's configuration. */
export function valuesSchema(configSchema: JsonSchema): JsonSchema {
  const { $schema, title: _, ...config } = configSchema
  return {
    $schema,
    title: 'Values of the inferwire chart',
    ...map({
      global: { type: 'object', description: 'Reserved by Helm, for parent charts.' },
      nameOverride: text(
        `^$|${PATTERNS.name.source}`,
        'Value of the label app.kubernetes.io/name, in place of inferwire.',
      ),
      fullnameOverride: text(
        `^$|${PATTERNS.name.source}`,
        'Name of the objects; empty: the release name, followed by "-inferwire" unless it already contains "inferwire".',
      ),
      image: image("Image of the connector; an empty tag selects the chart's appVersion."),
      imagePullSecrets: pullSecrets(),
      replicaCount: {
        type: 'integer',
        minimum: 1,
        maximum: 1_000_000,
        description: 'Number of connectors, which share the requests.',
      },
      resources: resources('Resources of the connector; limits.memory is at least 96Mi.'),
      serviceAccount: map({
        create: { type: 'boolean', description: 'Creates a ServiceAccount.' },
        automount: {
          type: 'boolean',
          description:
            'Mounts a token for the API server even without discovery, which is the only part that needs one.',
        },
        annotations: texts('Annotations of the ServiceAccount.'),
        name: text(
          `^$|${PATTERNS.subdomain.source}`,
          'Name of the ServiceAccount; empty: the name of the objects.',
        ),
      }),
      ...podValues(),
      affinity: { type: 'object', description: 'Affinity of the pods.' },
      extraVolumes: list(
        { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
        'Additional volumes of the pods.',
      ),
      extraVolumeMounts: list(
        {
          type: 'object',
          properties: { name: { type: 'string' }, mountPath: { type: 'string', pattern: '^/' } },
          required: ['name', 'mountPath'],
        },
        'Mounts of the additional volumes; the configuration may refer to files in them.',
      ),
      secretMounts: list(
        {
          ...map({
            secretName: text(PATTERNS.subdomain.source, 'Name of the Secret.'),
            mountPath: text(
              PATTERNS.mountPath.source,
              'Absolute path of the folder that contains the keys of the Secret as files.',
            ),
          }),
          required: ['secretName', 'mountPath'],
        },
        'Secrets with credentials, CAs and certificates that the configuration names.',
      ),
      brokerSecret: text(
        `^$|${PATTERNS.subdomain.source}`,
        "Secret with the connector's password under the key `password`; empty for none.",
      ),
      modelToken: map({
        enabled: { type: 'boolean', description: 'Mounts a ServiceAccount token for model servers.' },
        audience: text('', "Audience of the token; empty: the API server's audience."),
      }),
      kubeflow: map({
        modelNamespace: text(
          `^$|${PATTERNS.namespace.source}`,
          'Namespace of InferenceServices in the service mesh; empty: none.',
        ),
        mode: oneOf(['standard', 'knative'], "KServe's deployment mode."),
        ambient: { type: 'boolean', description: 'The mesh uses ztunnel instead of sidecars.' },
        admitToGateway: {
          type: 'boolean',
          description: "Creates a NetworkPolicy that admits the connector to Istio's gateways.",
        },
        inferenceServices: list(
          text(PATTERNS.namespace.source, 'Name of an InferenceService.'),
          'The InferenceServices that the connector may call.',
        ),
      }),
      config: {
        ...config,
        properties: withOldOptions(config['properties']),
        description: 'The configuration of the connector: docs/reference/configuration.md',
      },
      mosquitto: mosquittoSchema(),
      ...renamed(['name', 'replicas', 'memoryMi']),
    }),
    // A user can remove a value with `null`, but the templates require these values.
    required: [
      'image',
      'replicaCount',
      'resources',
      'serviceAccount',
      'modelToken',
      'kubeflow',
      'config',
      'mosquitto',
    ],
    allOf: [
      ofConfig({
        admin: { properties: { host: { not: { pattern: PATTERNS.loopback.source } } } },
        broker: { properties: { url: { pattern: PATTERNS.brokerUrl.source } } },
        models: { additionalProperties: { properties: { url: { pattern: PATTERNS.modelUrl.source } } } },
      }),
      {
        // The root and the user name are restricted only if the chart also installs the broker, because the
        // broker's access rules contain them.
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

// Returns additional constraints on members of the configuration.
function ofConfig(properties: JsonSchema): JsonSchema {
  return { properties: { config: { properties } } }
}

// templates/validate.yaml rejects old options, and names the new ones. Helm checks the schema first, so the
// schema must allow old options.
function withOldOptions(properties: unknown): JsonSchema {
  const { models, broker, ...others } = properties as Record<string, JsonSchema>
  const model = models?.['additionalProperties'] as JsonSchema
  return {
    ...others,
    models: {
      ...models,
      additionalProperties: unless(
        {
          anyOf: [
            { required: ['protocol'] },
            { required: ['as'] },
            { properties: { credential: { type: 'object', required: ['file'] } }, required: ['credential'] },
          ],
        },
        model,
      ),
    },
    broker: unless({ required: ['protocolVersion'] }, broker ?? {}),
  }
}

// Returns a schema that applies only to objects without an old option.
function unless(old: JsonSchema, schema: JsonSchema): JsonSchema {
  return { if: { type: 'object', ...old }, else: schema }
}

function mosquittoSchema(): JsonSchema {
  const schema = map({
    enabled: { type: 'boolean', description: 'Installs a broker; otherwise config.broker.url is required.' },
    fullnameOverride: text(PATTERNS.name.source, "Name of the broker's objects."),
    version: oneOf(['2.0', '2.1'], 'Mosquitto release line.'),
    image: image('Image of the broker; an empty tag selects the tag that is pinned for mosquitto.version.'),
    imagePullSecrets: pullSecrets(),
    resources: resources('Resources of the broker; limits.memory is at least 32Mi.'),
    ...podValues(),
    affinity: map({
      nodeAffinity: { type: 'object', description: 'Affinity to nodes.' },
      podAffinity: { type: 'object', description: 'Affinity to other pods.' },
    }),
    passwords: oneOf(
      ['secret', 'configmap', 'existing'],
      'Source of the password file; existing: a Secret NAME-password that you create.',
    ),
    passwordFile: text('', 'Content of the password file (--set-file); empty: no user can log in.'),
    observers: list(
      text(PATTERNS.userName.source, 'Name of a user.'),
      'Users with read access to all topics, for tools such as MQTT Explorer.',
    ),
    storage: text(PATTERNS.quantity.source, 'Size of the volume.'),
    storageClassName: text(
      `^-?$|${PATTERNS.subdomain.source}`,
      'StorageClass of the volume; empty: the default of the cluster; "-": none.',
    ),
    accessMode: oneOf(['ReadWriteOnce', 'ReadWriteOncePod'], 'Access mode of the volume.'),
    expose: oneOf(
      ['traefik', 'gateway', 'loadbalancer', 'nodeport', 'none'],
      'How clients outside the cluster reach the broker.',
    ),
    externalPort: {
      type: 'integer',
      minimum: 1,
      maximum: 65_535,
      description: 'The port to which clients outside the cluster connect; the default depends on expose.',
    },
    traefikApi: oneOf(['v3', 'v2'], 'v3: traefik.io; v2: traefik.containo.us.'),
    gatewayClass: text(PATTERNS.subdomain.source, 'GatewayClass if expose is gateway.'),
    tls: map({
      host: text(`^$|${PATTERNS.subdomain.source}`, 'Host name in the certificate; empty: no TLS.'),
      secretName: text(`^$|${PATTERNS.subdomain.source}`, 'Secret of type kubernetes.io/tls.'),
      clientCaSecret: text(
        `^$|${PATTERNS.subdomain.source}`,
        'Secret with the key ca.crt: the TLS port requires client certificates; their common name is the user.',
      ),
    }),
    ...renamed(['name', 'memoryMi']),
  })
  return {
    ...schema,
    required: [
      'fullnameOverride',
      'version',
      'image',
      'resources',
      'passwords',
      'storage',
      'accessMode',
      'tls',
    ],
  }
}

// The pod settings that `helm create` generates for every chart.
function podValues(): Readonly<Record<string, JsonSchema>> {
  return {
    podAnnotations: texts('Annotations of the pods.'),
    podLabels: texts('Additional labels of the pods.'),
    podSecurityContext: { type: 'object', description: 'Security context of the pods.' },
    securityContext: { type: 'object', description: 'Security context of the container.' },
    nodeSelector: texts('Labels of the nodes on which the pods may run.'),
    tolerations: list(
      { type: 'object' },
      'Tolerations, in addition to those that evict a pod 30 s after its node is lost.',
    ),
  }
}

function image(description: string): JsonSchema {
  return {
    ...map({
      repository: text(PATTERNS.imageRepository.source, 'Registry and name.'),
      tag: {
        ...text(`^$|${PATTERNS.imageTag.source}`, 'Tag other than latest, optionally with a digest.'),
        not: { pattern: '^latest$' },
      },
      pullPolicy: oneOf(['IfNotPresent', 'Always', 'Never'], 'When the image is pulled.'),
    }),
    // Old charts expected a string here. templates/validate.yaml rejects a string, and names the new options.
    type: ['object', 'string'],
    required: ['repository'],
    description,
  }
}

function pullSecrets(): JsonSchema {
  const item = map({ name: text(PATTERNS.subdomain.source, 'Name of a Secret.') })
  return list(
    // Old charts expected strings here. The schema allows strings, and templates/validate.yaml rejects them with a hint.
    { ...item, type: ['object', 'string'], required: ['name'] },
    "Secrets with credentials for the image's registry.",
  )
}

// The memory settings of the broker and the connector are derived from this limit. Therefore, the limit is
// required, and its unit must be Mi or Gi.
function resources(description: string): JsonSchema {
  const memory = text(PATTERNS.memory.source, 'Memory in whole Mi or Gi.')
  const quantities = {
    type: 'object',
    properties: { memory },
    additionalProperties: { type: ['string', 'number'] },
  }
  return {
    ...map({ limits: { ...quantities, required: ['memory'] }, requests: quantities }),
    required: ['limits'],
    description,
  }
}

function renamed(names: readonly string[]): Readonly<Record<string, JsonSchema>> {
  return Object.fromEntries(names.map((name) => [name, { description: 'Renamed.' }]))
}

function map(properties: Readonly<Record<string, JsonSchema>>): JsonSchema {
  return { type: 'object', additionalProperties: false, properties }
}

function texts(description: string): JsonSchema {
  return { type: 'object', additionalProperties: { type: 'string' }, description }
}

function text(pattern: string, description: string): JsonSchema {
  return { type: 'string', ...(pattern === '' ? {} : { pattern }), description }
}

function oneOf(values: readonly string[], description: string): JsonSchema {
  return { enum: values, description }
}

function list(items: JsonSchema, description: string): JsonSchema {
  return { type: 'array', items, description }
}
