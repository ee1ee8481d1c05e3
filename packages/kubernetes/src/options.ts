// The options of an installation, with their defaults and checks.
import { userNameMistake } from '@inferwire/mosquitto'
import { completeKubeflow, type Kubeflow, type KubeflowOptions } from './kubeflow/options.ts'
import type { Installed, Place } from './object.ts'
import { check, OptionError } from './option-error.ts'
import { PATTERNS } from './patterns.ts'
import { VERSION } from './version.ts'

/** How clients outside the cluster reach the broker. */
export type Expose = 'traefik' | 'gateway' | 'loadbalancer' | 'nodeport' | 'none'

/**
 * The certificate that clients receive: if Traefik is used, Traefik terminates TLS; otherwise the broker
 * terminates TLS.
 */
export interface TlsOptions {
  /** The host name in the certificate, for example mqtt.example.org. */
  readonly host: string
  /** A Secret of type kubernetes.io/tls in the broker's namespace. */
  readonly secretName: string
  /**
   * A Secret in the broker's namespace whose key `ca.crt` contains the certificate authority of client certificates. The
   * TLS port then requires a client certificate, and its common name is the user name; the broker terminates TLS, and
   * Traefik passes it through. @default none; users log in with passwords
   */
  readonly clientCaSecret?: string
}

/** Options of the broker. */
export interface BrokerOptions {
  /** @default mosquitto */
  readonly name?: string
  /** @default mosquitto */
  readonly namespace?: string
  /** Label `app.kubernetes.io/instance`. @default name */
  readonly instance?: string
  /** Mosquitto release line; determines image and configuration. @default 2.0 */
  readonly version?: MosquittoVersion
  /** Container image of the broker. @default the pinned image of the release line */
  readonly image?: string
  /** Source of the password file: a generated ConfigMap or Secret, or an existing Secret. @default configmap */
  readonly passwords?: 'configmap' | 'secret' | 'existing'
  /** Content of the password file. @default one example user, who cannot log in */
  readonly passwordFile?: string
  /** Users with read access to all topics, for tools such as MQTT Explorer. @default none */
  readonly observers?: readonly string[]
  /** Size of the volume. @default 1Gi */
  readonly storage?: string
  /** ReadWriteOncePod also excludes a second pod on the same node; not every storage driver supports it. */
  readonly accessMode?: 'ReadWriteOnce' | 'ReadWriteOncePod'
  /** Memory limit in MiB. @default 512 */
  readonly memoryMi?: number
  /** @default traefik */
  readonly expose?: Expose
  /**
   * The port to which clients outside the cluster connect.
   * @default 5883 (traefik, gateway), 1883 (loadbalancer), 31883 (nodeport); with TLS 8883, or 31884 (nodeport)
   */
  readonly externalPort?: number
  /**
   * API group of Traefik's objects: v3 means traefik.io, which Traefik supports since 2.10; v2 means
   * traefik.containo.us. @default v3
   */
  readonly traefikApi?: 'v2' | 'v3'
  /** GatewayClass for `expose: gateway`. @default traefik */
  readonly gatewayClass?: string
  /** @default none. Without TLS, passwords are sent unencrypted, which is acceptable only in closed networks */
  readonly tls?: TlsOptions
}

/** A release line of Mosquitto. */
export type MosquittoVersion = '2.0' | '2.1'

/** A Secret whose keys become files in the connector's pod. */
export interface SecretMount {
  readonly secretName: string
  /** Absolute path of the folder that contains the files. */
  readonly mountPath: string
}

/** Options of the connector. */
export interface ConnectorOptions {
  /** @default inferwire */
  readonly name?: string
  /** @default inferwire */
  readonly namespace?: string
  /** Label `app.kubernetes.io/instance`. @default name */
  readonly instance?: string
  /** Container image of the connector. @default inferwire, with the version of this package as its tag */
  readonly image?: string
  /** Secrets with credentials for the image's registry. @default none */
  readonly imagePullSecrets?: readonly string[]
  /** Number of replicas, which share the requests through a shared subscription. @default 1 */
  readonly replicas?: number
  /**
   * Memory limit in MiB. V8's heap may use three quarters of this memory, but always leaves at least 56 MiB free.
   * @default 512
   */
  readonly memoryMi?: number
  /**
   * The user's configuration of the connector. It overrides the settings that this package generates for the
   * cluster.
   */
  readonly config?: Readonly<Record<string, unknown>>
  /**
   * Name of the Secret with the connector's own password under the key `password`; an empty string if there is
   * none. @default inferwire-broker
   */
  readonly brokerSecret?: string
  /** ServiceAccount token for model servers, mounted at /var/run/secrets/inferwire/token. @default none */
  readonly modelToken?: { readonly audience?: string }
  /** Secrets with credentials, CAs and certificates that the configuration names. @default none */
  readonly secretMounts?: readonly SecretMount[]
  /** Models behind Kubeflow's service mesh. @default none */
  readonly kubeflow?: KubeflowOptions
}

/** The broker's options with every default. */
export type Broker = Required<Omit<BrokerOptions, 'tls'>> & { readonly tls: TlsOptions | undefined }

/** The connector's options with every default. */
export type Connector = Required<Omit<ConnectorOptions, 'modelToken' | 'config' | 'kubeflow'>> &
  Installed & {
    readonly config: Readonly<Record<string, unknown>>
    readonly modelToken: { readonly audience: string } | undefined
    readonly kubeflow: Kubeflow | undefined
  }

const IMAGES: Readonly<Record<MosquittoVersion, string>> = {
  '2.0': 'eclipse-mosquitto:2.0.22',
  '2.1': 'eclipse-mosquitto:2.1.2-alpine',
}

/**
 * Shows the format of a password file. Login as this user is impossible: the hash was made from random bytes, not from
 * a password. Mosquitto rejects every client until the file is replaced.
 */
export const EXAMPLE_PASSWORD_FILE =
  'example:$7$101$s4JUUbioAXVAZwC/$mrwtmL8BiVRbYj9yMo8vNZJDI7h+vqEsAwWFiWtmOOsN9uiSuOcSUQecDngW9pc0EoLmPLDhY1Ugsd3wNUmUFQ==\n'

/** Returns the options with all defaults. @throws OptionError for the first unusable option */
export function completeBroker(options: BrokerOptions): Broker {
  const { version = '2.0', name = 'mosquitto', expose = 'traefik' } = options
  const broker: Broker = {
    name,
    namespace: 'mosquitto',
    instance: name,
    version,
    image: IMAGES[version],
    passwords: 'configmap',
    passwordFile: EXAMPLE_PASSWORD_FILE,
    storage: '1Gi',
    accessMode: 'ReadWriteOnce',
    memoryMi: 512,
    expose,
    externalPort: defaultPort(expose, options.tls),
    traefikApi: 'v3',
    gatewayClass: 'traefik',
    tls: undefined,
    ...defined(options),
    observers: [...new Set(options.observers)],
  }
  checkPlace('broker', broker)
  checkImage('broker.image', broker.image)
  checkNumber('broker.memoryMi', broker.memoryMi, 32)
  checkExternalPort(options.externalPort, expose)
  check('broker.storage', broker.storage, PATTERNS.quantity, 'a quantity such as 1Gi')
  check('broker.gatewayClass', broker.gatewayClass, PATTERNS.subdomain, 'the name of a GatewayClass')
  for (const user of broker.observers) {
    const mistake = userNameMistake(user)
    if (mistake !== undefined) throw new OptionError('broker.observers', `"${user}" ${mistake}`)
  }
  if (broker.tls !== undefined) {
    check('broker.tls.host', broker.tls.host, PATTERNS.subdomain, 'a host name in lowercase letters')
    check('broker.tls.secretName', broker.tls.secretName, PATTERNS.subdomain, 'the name of a Secret')
    const { clientCaSecret } = broker.tls
    if (clientCaSecret !== undefined) {
      check('broker.tls.clientCaSecret', clientCaSecret, PATTERNS.subdomain, 'the name of a Secret')
    }
    if (broker.expose === 'gateway') {
      throw new OptionError(
        'broker.tls',
        'cannot be used with expose "gateway"; give the Gateway a TLS listener',
      )
    }
  }
  return broker
}

/** Returns the options with all defaults. @throws OptionError for the first unusable option */
export function completeConnector(options: ConnectorOptions): Connector {
  const { modelToken, kubeflow, name = 'inferwire', ...rest } = options
  const connector: Connector = {
    name,
    namespace: 'inferwire',
    instance: name,
    version: VERSION,
    image: `inferwire:${VERSION}`,
    imagePullSecrets: [],
    replicas: 1,
    memoryMi: 512,
    config: {},
    brokerSecret: 'inferwire-broker',
    secretMounts: [],
    ...defined(rest),
    modelToken: modelToken === undefined ? undefined : { audience: '', ...modelToken },
    kubeflow: kubeflow === undefined ? undefined : completeKubeflow(kubeflow),
  }
  checkPlace('connector', connector)
  checkImage('connector.image', connector.image)
  checkNumber('connector.replicas', connector.replicas, 1)
  checkNumber('connector.memoryMi', connector.memoryMi, 96)
  for (const secret of [connector.brokerSecret, ...connector.imagePullSecrets]) {
    if (secret !== '') check('connector.brokerSecret', secret, PATTERNS.subdomain, 'the name of a Secret')
  }
  for (const { secretName, mountPath } of connector.secretMounts) {
    check('connector.secretMounts', secretName, PATTERNS.subdomain, 'the name of a Secret')
    check(
      'connector.secretMounts',
      mountPath,
      PATTERNS.mountPath,
      'an absolute path such as /etc/secrets/iris',
    )
  }
  return connector
}

function checkPlace(of: string, { name, namespace }: Place): void {
  check(
    `${of}.name`,
    name,
    PATTERNS.name,
    'at most 52 lowercase letters, digits and "-", starting with a letter',
  )
  check(`${of}.namespace`, namespace, PATTERNS.namespace, 'the name of a namespace')
}

// An image without a tag has the tag "latest", which may refer to a different program at each pull.
function checkImage(option: string, image: string): void {
  const expected = 'an image with a tag that is not "latest", or with a digest'
  if (image.endsWith(':latest')) throw new OptionError(option, `is "${image}"; expected ${expected}`)
  check(option, image, PATTERNS.image, expected)
}

// The default ports. Those for `nodeport` are in Kubernetes' default range of node ports.
function defaultPort(expose: Expose, tls: TlsOptions | undefined): number {
  if (expose === 'nodeport') return tls === undefined ? 31_883 : 31_884
  if (tls !== undefined) return 8883
  return expose === 'loadbalancer' ? 1883 : 5883
}

// The entry points of Traefik's Helm chart.
const TRAEFIK_PORTS = new Map([
  [8000, 'web'],
  [8443, 'websecure'],
  [8080, 'traefik'],
  [9100, 'metrics'],
])

function checkExternalPort(port: number | undefined, expose: Expose): void {
  if (port === undefined) return
  const option = 'broker.externalPort'
  if (expose === 'none') throw new OptionError(option, 'has no effect with expose "none"')
  const [min, max] = expose === 'nodeport' ? [30_000, 32_767] : [1, 65_535]
  if (!Number.isInteger(port) || port < min || port > max) {
    throw new OptionError(option, `is ${port}; expected a port from ${min} to ${max}`)
  }
  if (expose !== 'traefik') return
  if (port < 1024) {
    throw new OptionError(option, `is ${port}; Traefik runs as a user that cannot open ports below 1024`)
  }
  const entryPoint = TRAEFIK_PORTS.get(port)
  if (entryPoint !== undefined) {
    throw new OptionError(option, `is ${port}, the port of Traefik's entry point "${entryPoint}"`)
  }
}

function checkNumber(option: string, value: number, min: number): void {
  if (!Number.isInteger(value) || value < min || value > 1_000_000) {
    throw new OptionError(option, `is ${value}; expected a whole number of at least ${min}`)
  }
}

function defined<T extends object>(options: T): { [Key in keyof T]: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never
}
