// What can be chosen about the installation, each at least once: the tests go through all of it.
import type { ManifestOptions } from '@inferwire/kubernetes'

/** Secrets that are made by hand. */
export const GIVEN = { secrets: ['inferwire-broker', 'mosquitto-password', 'mqtt-tls'] }
/** A certificate. */
export const TLS = { host: 'mqtt.example.org', secretName: 'mqtt-tls' }
/** The example. */
export const MODELS = { iris: { url: 'http://iris-predictor.models.svc.cluster.local' } }

/** A name, and the options. */
export const VARIANTS: readonly (readonly [string, ManifestOptions])[] = [
  ['nothing chosen', {}],
  ['models', { connector: { config: { models: MODELS, root: 'plant/infer' } } }],
  ['a Secret', { broker: { passwords: 'secret', passwordFile: 'a:$6$b$c\nd:$6$e$f\n' } }],
  ['a Secret that is there', { broker: { passwords: 'existing' } }],
  ['Mosquitto 2.1', { broker: { version: '2.1', accessMode: 'ReadWriteOncePod', storage: '500Mi' } }],
  ['Traefik with TLS', { broker: { tls: TLS, observers: ['ann', 'ben'] } }],
  ['an old Traefik', { broker: { tls: TLS, traefikApi: 'v2' } }],
  ['a Gateway', { broker: { expose: 'gateway', gatewayClass: 'eg' } }],
  ['a load balancer', { broker: { expose: 'loadbalancer' } }],
  ['a load balancer with TLS', { broker: { expose: 'loadbalancer', tls: TLS, memoryMi: 1024 } }],
  ['a node port', { broker: { expose: 'nodeport' } }],
  ['a node port with TLS', { broker: { expose: 'nodeport', tls: TLS, version: '2.1' } }],
  [
    'nobody outside',
    { broker: { expose: 'none', name: 'broker', memoryMi: 48, image: 'mirror/mosquitto:2.0.22' } },
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
  [
    'a broker elsewhere',
    {
      broker: false,
      connector: { brokerSecret: '', config: { broker: { url: 'mqtts://broker.example:8883' } } },
    },
  ],
]
