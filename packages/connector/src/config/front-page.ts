// The first page of the reference: the options that most installations set, in groups, with an example of each.

/** Options that are documented together. */
export interface OptionGroup {
  readonly title: string
  /** One or two sentences about the purpose of the options. */
  readonly text: string
  /** An example, which is a valid configuration. */
  readonly example: string
  /** The options' paths, such as `broker.url` and `models.*.url`. */
  readonly options: readonly string[]
}

/** Every option that is not advanced belongs to one of these groups. */
export const FRONT_PAGE: readonly OptionGroup[] = [
  {
    title: 'Broker',
    text: "The broker's address and the connector's login. `mqtts` and `wss` use TLS.",
    example: `broker:
  url: mqtts://mosquitto.example:8883
  username: inferwire
  passwordFile: /etc/inferwire/password
  tls:
    caFile: /etc/inferwire/ca.crt
`,
    options: [
      'broker.url',
      'broker.username',
      'broker.passwordFile',
      'broker.password',
      'broker.tls.caFile',
      'broker.tls.certFile',
      'broker.tls.keyFile',
    ],
  },
  {
    title: 'Name and topics',
    text: 'Connectors on the same broker need different names.',
    example: `name: plant-7
root: plant/infer
`,
    options: ['name', 'root'],
  },
  {
    title: 'Models',
    text: 'Each key of `models` is the name of a model in topics. Only `url` is required.',
    example: `models:
  iris:
    url: http://iris.models.svc.cluster.local
  defects:
    url: https://gateway.example
    host: defects.alice.example.com
    protocolVersion: v2
    modelName: defects-resnet
`,
    options: ['models.*.url', 'models.*.host', 'models.*.protocolVersion', 'models.*.modelName'],
  },
  {
    title: 'Discovery',
    text: "The connector can find a cluster's InferenceServices by itself.",
    example: `discovery:
  enabled: true
  namespaces: [models, vision]
  defaultNamespace: models
  aliases:
    defects: vision/defect-detector
`,
    options: ['discovery.enabled', 'discovery.namespaces', 'discovery.expose', 'discovery.defaultNamespace'],
  },
  {
    title: 'Credentials',
    text: 'How calls to a model server authenticate, and which server certificates they accept. A credential with a name can be used by several models.',
    example: `credentials:
  kubeflow:
    kind: token-file
    tokenFile: /var/run/secrets/inferwire/token
    origins: ['https://gateway.example', 'http://*.alice.svc.cluster.local']
models:
  defects:
    url: https://gateway.example
    credential: kubeflow
    tls:
      caFile: /etc/inferwire/gateway-ca.crt
  scores:
    url: https://scores.example
    credential:
      kind: static-header
      name: x-api-key
      valueFile: /etc/inferwire/api-key
`,
    options: [
      'credentials.*',
      'models.*.credential',
      'models.*.tls.caFile',
      'models.*.tls.certFile',
      'models.*.tls.keyFile',
    ],
  },
  {
    title: 'Limits',
    text: 'How long a request may take, how large it may be, and how many run at the same time.',
    example: `models:
  iris:
    url: http://iris.models.svc.cluster.local
    timeoutMs: 5000
    limits:
      concurrency: 16
      requestBytesMax: 4194304
limits:
  client:
    requestsPerSecond: 50
`,
    options: [
      'models.*.timeoutMs',
      'models.*.limits.concurrency',
      'models.*.limits.requestBytesMax',
      'limits.client.requestsPerSecond',
    ],
  },
  {
    title: 'Policy',
    text: 'Without a policy, every client may use every model.',
    example: `policy:
  allow:
    - clients: ['line-*']
      models: [defects]
      operations: [infer, ready]
      requestBytesMax: 65536
      rate: { requestsPerSecond: 10, burst: 20 }
    - clients: [dashboard]
      models: ['*']
`,
    options: ['policy'],
  },
  {
    title: 'Logs and metrics',
    text: 'In a container, listen on all addresses, so that Kubernetes and Prometheus reach the HTTP server.',
    example: `log:
  level: info
admin:
  host: 0.0.0.0
  port: 8383
`,
    options: ['log.level', 'admin.host', 'admin.port'],
  },
]
