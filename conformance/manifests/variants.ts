// Combinations of installation options. Together they use each option at least once.
import type { ManifestOptions } from '@inferwire/kubernetes'

/** Secrets that the user creates. */
export const GIVEN = {
  secrets: ['inferwire-broker', 'mosquitto-password', 'mqtt-tls', 'iris-login', 'broker-ca', 'devices-ca'],
}
/** A certificate. */
export const TLS = { host: 'mqtt.example.org', secretName: 'mqtt-tls' }
/** The example model. */
export const MODELS = { iris: { url: 'http://iris-predictor.models.svc.cluster.local' } }

// Secrets that are mounted at paths the user chose.
const SECRET_MOUNTS = [
  { secretName: 'iris-login', mountPath: '/etc/secrets/iris' },
  { secretName: 'broker-ca', mountPath: '/etc/secrets/broker' },
]
// A configuration that uses files from these Secrets.
const SECRET_FILES = {
  broker: {
    url: 'mqtts://mosquitto.mosquitto.svc:8883',
    tls: {
      caFile: '/etc/secrets/broker/ca.crt',
      certFile: '/etc/secrets/broker/tls.crt',
      keyFile: '/etc/secrets/broker/tls.key',
    },
  },
  models: {
    iris: {
      url: 'https://iris.models.svc',
      credential: { kind: 'token-file', tokenFile: '/etc/secrets/iris/token' },
      tls: { caFile: '/etc/secrets/iris/ca.crt' },
    },
  },
}

const PROFILE = { modelNamespace: 'alice', inferenceServices: ['iris', 'digits'] }
const THROUGH_GATEWAY = {
  models: {
    iris: {
      url: 'http://istio-ingressgateway.istio-system.svc.cluster.local',
      host: 'iris.alice.example.com',
      credential: 'dex',
    },
    other: { url: 'http://models.example.com:8080' },
  },
  credentials: {
    dex: {
      kind: 'oauth-token-exchange',
      tokenUrl: 'http://dex.auth.svc.cluster.local:5556/dex/token',
      subjectTokenFile: '/var/run/secrets/inferwire/token',
      clientId: 'inferwire',
      clientSecretFile: '/etc/inferwire/broker/dex',
    },
  },
}

/** Name and options of each combination. */
export const VARIANTS: readonly (readonly [string, ManifestOptions])[] = [
  ['no options', {}],
  ['models', { connector: { config: { models: MODELS, root: 'plant/infer' } } }],
  ['a Secret', { broker: { passwords: 'secret', passwordFile: 'a:$6$b$c\nd:$6$e$f\n' } }],
  ['an existing Secret', { broker: { passwords: 'existing' } }],
  ['Mosquitto 2.1', { broker: { version: '2.1', accessMode: 'ReadWriteOncePod', storage: '500Mi' } }],
  ['Traefik with TLS', { broker: { tls: TLS, observers: ['ann', 'ben'] } }],
  ['a Traefik before 2.10', { broker: { tls: TLS, traefikApi: 'v2' } }],
  ['a Gateway', { broker: { expose: 'gateway', gatewayClass: 'eg' } }],
  ['a load balancer', { broker: { expose: 'loadbalancer' } }],
  ['a load balancer with TLS', { broker: { expose: 'loadbalancer', tls: TLS, memoryMi: 1024 } }],
  ['Traefik with client certificates', { broker: { tls: { ...TLS, clientCaSecret: 'devices-ca' } } }],
  [
    'a load balancer with client certificates',
    { broker: { expose: 'loadbalancer', tls: { ...TLS, clientCaSecret: 'devices-ca' } } },
  ],
  ['a node port', { broker: { expose: 'nodeport' } }],
  ['a node port with TLS', { broker: { expose: 'nodeport', tls: TLS, version: '2.1' } }],
  [
    'no access from outside',
    { broker: { expose: 'none', name: 'broker', memoryMi: 48, image: 'mirror/mosquitto:2.0.22' } },
  ],
  ['a Gateway on another port', { broker: { expose: 'gateway', externalPort: 1884 } }],
  ['a load balancer on another port', { broker: { expose: 'loadbalancer', externalPort: 8884, tls: TLS } }],
  ['another node port', { broker: { expose: 'nodeport', externalPort: 30_883 } }],
  [
    'Secrets with tokens, CAs and client certificates',
    { connector: { config: SECRET_FILES, secretMounts: SECRET_MOUNTS } },
  ],
  ['three connectors', { connector: { replicas: 3, memoryMi: 97, image: 'mirror:5000/inferwire:1.2' } }],
  ['names and a token', { connector: { name: 'edge', modelToken: {}, imagePullSecrets: ['pull'] } }],
  [
    'a token for an audience, another port, a long drain',
    {
      connector: {
        modelToken: { audience: 'models' },
        config: { admin: { port: 9000 }, drain: { timeoutMs: 60_001 } },
      },
    },
  ],
  ...(['standard', 'knative'] as const).flatMap((mode): [string, ManifestOptions][] => [
    [
      `models in the mesh, ${mode}`,
      {
        connector: {
          config: { models: MODELS, discovery: { enabled: true, namespaces: ['alice', '007'] } },
          kubeflow: { ...PROFILE, mode, admitToGateway: true },
        },
      },
    ],
    [
      `models behind Kubeflow's gateway, ${mode}`,
      {
        connector: {
          config: THROUGH_GATEWAY,
          modelToken: {},
          kubeflow: { ...PROFILE, mode, admitToGateway: true },
        },
      },
    ],
    [`models in an ambient mesh, ${mode}`, { connector: { kubeflow: { ...PROFILE, mode, ambient: true } } }],
  ]),
  ...(
    [
      ['two namespaces', { namespaces: ['models', 'vision'], kinds: ['InferenceService', 'InferenceGraph'] }],
      ['all namespaces', { namespaces: ['*'] }],
      ['selected namespaces', { namespaceSelector: 'team=vision' }],
    ] as const
  ).map(([where, section]): [string, ManifestOptions] => [
    `discovery in ${where}`,
    { connector: { config: { discovery: { enabled: true, ...section } } } },
  ]),
  [
    'a broker elsewhere',
    {
      broker: false,
      connector: { brokerSecret: '', config: { broker: { url: 'mqtts://broker.example:8883' } } },
    },
  ],
]
