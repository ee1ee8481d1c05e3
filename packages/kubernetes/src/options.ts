// What can be chosen about the installation, with every default.
import { userNameMistake } from '@inferwire/mosquitto'
import type { Place } from './object.ts'
import { PATTERNS } from './patterns.ts'

/** How clients outside of the cluster reach the broker. */
export type Expose = 'traefik' | 'gateway' | 'loadbalancer' | 'nodeport' | 'none'

/** Certificate for clients: with Traefik it ends there, otherwise in the broker. */
export interface TlsOptions {
  /** The name in the certificate, for example mqtt.example.org. */
  readonly host: string
  /** A Secret of type kubernetes.io/tls beside the broker. */
  readonly secretName: string
}

/** The broker. */
export interface BrokerOptions {
  /** @default mosquitto */
  readonly name?: string
  /** @default mosquitto */
  readonly namespace?: string
  /** Line of Mosquitto: image and configuration follow. @default 2.0 */
  readonly version?: MosquittoVersion
  /** @default what fits the version */
  readonly image?: string
  /** Where the password file is: made as ConfigMap or Secret, or a Secret that is there already. @default configmap */
  readonly passwords?: 'configmap' | 'secret' | 'existing'
  /** Text of the password file. @default one user that nobody can be */
  readonly passwordFile?: string
  /** Users who may see everything, for tools such as MQTT Explorer. @default none */
  readonly observers?: readonly string[]
  /** Size of the volume. @default 1Gi */
  readonly storage?: string
  /** ReadWriteOncePod also keeps a second pod on the same node away; not every storage can. @default ReadWriteOnce */
  readonly accessMode?: 'ReadWriteOnce' | 'ReadWriteOncePod'
  /** Memory limit in MiB. @default 512 */
  readonly memoryMi?: number
  /** @default traefik */
  readonly expose?: Expose
  /** v3 for traefik.io, which Traefik serves since 2.10; v2 for traefik.containo.us. @default v3 */
  readonly traefikApi?: 'v2' | 'v3'
  /** GatewayClass for `expose: gateway`. @default traefik */
  readonly gatewayClass?: string
  /** @default none: passwords are sent in the clear, which is for closed networks */
  readonly tls?: TlsOptions
}

/** A line of Mosquitto. */
export type MosquittoVersion = '2.0' | '2.1'

/** The connector. */
export interface ConnectorOptions {
  /** @default inferwire */
  readonly name?: string
  /** @default inferwire */
  readonly namespace?: string
  /** @default inferwire:0.1.0 */
  readonly image?: string
  /** Secrets with the login of the image's registry. @default none */
  readonly imagePullSecrets?: readonly string[]
  /** More than one shares the work by a shared subscription. @default 1 */
  readonly replicas?: number
  /** Memory limit in MiB. V8's heap gets three quarters of it, but leaves at least 56. @default 512 */
  readonly memoryMi?: number
  /** The connector's configuration; what it leaves out is set for this cluster. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Secret with the connector's own password, key `password`; empty for none. @default inferwire-broker */
  readonly brokerSecret?: string
  /** A ServiceAccount token for model servers, at /var/run/secrets/inferwire/token. @default none */
  readonly modelToken?: { readonly audience?: string }
}

/** The broker's options with every default. */
export type Broker = Required<Omit<BrokerOptions, 'tls'>> & { readonly tls: TlsOptions | undefined }

/** The connector's options with every default. */
export type Connector = Required<Omit<ConnectorOptions, 'modelToken' | 'config'>> & {
  readonly config: Readonly<Record<string, unknown>>
  readonly modelToken: { readonly audience: string } | undefined
}

/** An option that cannot be used; the message says what was expected. */
export class OptionError extends Error {
  override readonly name = 'OptionError'
  /** The path of the option, for example broker.storage. */
  readonly option: string

  constructor(option: string, message: string) {
    super(message)
    this.option = option
  }
}

const IMAGES: Readonly<Record<MosquittoVersion, string>> = {
  '2.0': 'eclipse-mosquitto:2.0.22',
  '2.1': 'eclipse-mosquitto:2.1.2-alpine',
}

/**
 * A line that shows what a password file looks like. Nobody can be this user: the hash was made of random bytes, not of
 * a password. It is there because Mosquitto refuses everybody who is not in the file.
 */
export const EXAMPLE_PASSWORD_FILE =
  'example:$7$101$s4JUUbioAXVAZwC/$mrwtmL8BiVRbYj9yMo8vNZJDI7h+vqEsAwWFiWtmOOsN9uiSuOcSUQecDngW9pc0EoLmPLDhY1Ugsd3wNUmUFQ==\n'

/** @throws OptionError for the first option that cannot be used */
export function completeBroker(options: BrokerOptions): Broker {
  const version = options.version ?? '2.0'
  const broker: Broker = {
    name: 'mosquitto',
    namespace: 'mosquitto',
    version,
    image: IMAGES[version],
    passwords: 'configmap',
    passwordFile: EXAMPLE_PASSWORD_FILE,
    observers: [],
    storage: '1Gi',
    accessMode: 'ReadWriteOnce',
    memoryMi: 512,
    expose: 'traefik',
    traefikApi: 'v3',
    gatewayClass: 'traefik',
    tls: undefined,
    ...defined(options),
  }
  checkPlace('broker', broker)
  checkImage('broker.image', broker.image)
  checkNumber('broker.memoryMi', broker.memoryMi, 32)
  check('broker.storage', broker.storage, PATTERNS.quantity, 'a quantity such as 1Gi')
  check('broker.gatewayClass', broker.gatewayClass, PATTERNS.subdomain, 'the name of a GatewayClass')
  for (const user of broker.observers) {
    const mistake = userNameMistake(user)
    if (mistake !== undefined) throw new OptionError('broker.observers', `"${user}" ${mistake}`)
  }
  if (broker.tls !== undefined) {
    check('broker.tls.host', broker.tls.host, PATTERNS.subdomain, 'a host name in small letters')
    check('broker.tls.secretName', broker.tls.secretName, PATTERNS.subdomain, 'the name of a Secret')
    if (broker.expose === 'gateway') {
      throw new OptionError(
        'broker.tls',
        'cannot be used with expose "gateway"; give the Gateway a TLS listener',
      )
    }
  }
  return broker
}

/** @throws OptionError for the first option that cannot be used */
export function completeConnector(options: ConnectorOptions): Connector {
  const { modelToken, ...rest } = options
  const connector: Connector = {
    name: 'inferwire',
    namespace: 'inferwire',
    image: 'inferwire:0.1.0',
    imagePullSecrets: [],
    replicas: 1,
    memoryMi: 512,
    config: {},
    brokerSecret: 'inferwire-broker',
    ...defined(rest),
    modelToken: modelToken === undefined ? undefined : { audience: '', ...modelToken },
  }
  checkPlace('connector', connector)
  checkImage('connector.image', connector.image)
  checkNumber('connector.replicas', connector.replicas, 1)
  checkNumber('connector.memoryMi', connector.memoryMi, 96)
  for (const name of [connector.brokerSecret, ...connector.imagePullSecrets]) {
    if (name !== '') check('connector.brokerSecret', name, PATTERNS.subdomain, 'the name of a Secret')
  }
  return connector
}

function checkPlace(of: string, { name, namespace }: Place): void {
  check(
    `${of}.name`,
    name,
    PATTERNS.name,
    'small letters, digits and "-", beginning with a letter, at most 52',
  )
  check(`${of}.namespace`, namespace, PATTERNS.namespace, 'the name of a namespace')
}

// Without a tag it would be "latest": another program at every pull.
function checkImage(option: string, image: string): void {
  const expected = 'an image with a tag that is not "latest", or with a digest'
  if (image.endsWith(':latest')) throw new OptionError(option, `is "${image}"; expected ${expected}`)
  check(option, image, PATTERNS.image, expected)
}

function checkNumber(option: string, value: number, min: number): void {
  if (!Number.isInteger(value) || value < min || value > 1_000_000) {
    throw new OptionError(option, `is ${value}; expected a whole number of at least ${min}`)
  }
}

function check(option: string, value: string, pattern: RegExp, expected: string): void {
  if (!pattern.test(value)) throw new OptionError(option, `is "${value}"; expected ${expected}`)
}

function defined<T extends object>(options: T): { [Key in keyof T]: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never
}
