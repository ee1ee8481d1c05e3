// Converts the options of `inferwire manifests` to those of @inferwire/kubernetes.
import { parseModelFlag } from '@inferwire/connector'
import type {
  BrokerOptions,
  ConnectorOptions,
  ManifestOptions,
  OptionError,
  SecretMount,
} from '@inferwire/kubernetes'
import { usageError, type CliError } from '../cli-error.ts'

/** The parsed command line. */
export interface ManifestFlags {
  readonly only?: 'mosquitto' | 'connector' | 'kubeflow' | 'traefik'
  readonly namespace?: string
  readonly mosquittoNamespace?: string
  readonly expose?: NonNullable<BrokerOptions['expose']>
  readonly port?: number
  readonly traefikApi?: 'v2' | 'v3'
  readonly mosquitto?: '2.0' | '2.1'
  readonly tlsHost?: string
  readonly tlsSecret?: string
  readonly clientCaSecret?: string
  readonly secret?: true
  readonly existingSecret?: true
  readonly passwordFile?: string
  readonly observer?: readonly string[]
  readonly config?: string
  readonly model?: readonly string[]
  readonly image?: string
  readonly replicas?: number
  readonly memory?: number
  readonly modelToken?: true | string
  readonly mountSecret?: readonly string[]
  readonly modelNamespace?: string
  readonly mode?: 'standard' | 'knative'
  readonly ambient?: true
  readonly inferenceService?: readonly string[]
  readonly admitToGateway?: true
}

/** The contents of the files that the options name; undefined if an option is absent. */
export interface NamedFiles {
  readonly passwordFile: string | undefined
  readonly config: Readonly<Record<string, unknown>> | undefined
}

/**
 * Checks the combination of options, before any file is read.
 * @throws CliError for options that contradict each other, or have no effect
 */
export function checkFlags(flags: ManifestFlags): void {
  if ((flags.tlsHost === undefined) !== (flags.tlsSecret === undefined)) {
    throw usageError('--tls-host and --tls-secret must be used together', 'Use both, or neither.')
  }
  if (flags.clientCaSecret !== undefined && flags.tlsHost === undefined) {
    throw usageError('--client-ca-secret requires --tls-host and --tls-secret', 'Add both options.')
  }
  if (flags.existingSecret === true && (flags.secret === true || flags.passwordFile !== undefined)) {
    throw usageError(
      '--existing-secret cannot be combined with --secret or --password-file',
      'With --existing-secret the password file is in a Secret that you create.',
    )
  }
  checkKubeflowFlags(flags)
  if (flags.only === undefined) return
  const used = USED_WITH_ONLY[flags.only]
  const unused = Object.keys(flags).filter((name) => name !== 'only' && !used.has(name))
  if (unused.length === 0) return
  throw usageError(
    `${unused.map(optionName).join(', ')} ${unused.length === 1 ? 'has' : 'have'} no effect with --only ${flags.only}`,
    unused.length === 1 ? 'Remove the option.' : 'Remove the options.',
  )
}

const KUBEFLOW_FLAGS = ['modelNamespace', 'mode', 'ambient', 'inferenceService', 'admitToGateway'] as const

// Includes options of the connector that the broker's objects need: the access rules contain names from the
// configuration, and the NetworkPolicy contains the connector's namespace.
const USED_WITH_ONLY: Readonly<Record<NonNullable<ManifestFlags['only']>, ReadonlySet<string>>> = {
  mosquitto: new Set<keyof ManifestFlags>([
    'namespace',
    'mosquittoNamespace',
    'expose',
    'port',
    'traefikApi',
    'mosquitto',
    'tlsHost',
    'tlsSecret',
    'clientCaSecret',
    'secret',
    'existingSecret',
    'passwordFile',
    'observer',
    'config',
  ]),
  connector: new Set<keyof ManifestFlags>([
    'namespace',
    'mosquittoNamespace',
    'config',
    'model',
    'image',
    'replicas',
    'memory',
    'modelToken',
    'mountSecret',
    ...KUBEFLOW_FLAGS,
  ]),
  kubeflow: new Set<keyof ManifestFlags>(['namespace', 'modelToken', ...KUBEFLOW_FLAGS]),
  traefik: new Set<keyof ManifestFlags>(['port', 'tlsHost', 'tlsSecret']),
}

function checkKubeflowFlags(flags: ManifestFlags): void {
  if (flags.modelNamespace !== undefined) return
  const used = KUBEFLOW_FLAGS.find((name) => flags[name] !== undefined)
  if (flags.only !== 'kubeflow' && used === undefined) return
  throw usageError(
    `${flags.only === 'kubeflow' ? '--only kubeflow' : optionName(used!)} requires --model-namespace`,
    'Add --model-namespace with the namespace of the InferenceServices.',
  )
}

// Converts the name of a member to that of its command-line option: passwordFile -> --password-file.
function optionName(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

// The options of @inferwire/kubernetes that the command line can set, each with the name of its command-line option.
const FLAG_NAMES: Readonly<Record<string, string>> = {
  'broker.namespace': '--mosquitto-namespace',
  'broker.externalPort': '--port',
  'broker.observers': '--observer',
  'broker.tls': '--tls-host',
  'broker.tls.host': '--tls-host',
  'broker.tls.secretName': '--tls-secret',
  'broker.tls.clientCaSecret': '--client-ca-secret',
  'connector.namespace': '--namespace',
  'connector.image': '--image',
  'connector.replicas': '--replicas',
  'connector.memoryMi': '--memory',
  'connector.secretMounts': '--mount-secret',
  'kubeflow.modelNamespace': '--model-namespace',
  'kubeflow.ambient': '--ambient',
  'kubeflow.inferenceServices': '--inference-service',
}

/** Converts an error of @inferwire/kubernetes into one that names the options of the command line. */
export function flagError({ option, message, remedy }: OptionError, { config }: ManifestFlags): CliError {
  const name = option === 'connector.config' ? config : FLAG_NAMES[option]
  return usageError(
    `${name ?? option} ${message.replace(/expose "([a-z]+)"/, '--expose $1')}`,
    remedy ?? 'Options: inferwire manifests --help',
  )
}

/** Returns the models that are given with --model. @throws ConfigError */
export function modelsOf({ model = [] }: ManifestFlags): Record<string, object> {
  return Object.fromEntries(model.map(parseModelFlag))
}

/** Returns the options of the manifests. @throws CliError, or ConfigError for --model */
export function manifestOptions(flags: ManifestFlags, files: NamedFiles): ManifestOptions {
  return { broker: brokerOptions(flags, files), connector: connectorOptions(flags, files) }
}

function brokerOptions(flags: ManifestFlags, { passwordFile }: NamedFiles): BrokerOptions {
  const { tlsHost: host, tlsSecret: secretName, clientCaSecret } = flags
  return present({
    namespace: flags.mosquittoNamespace,
    version: flags.mosquitto,
    expose: flags.expose,
    externalPort: flags.port,
    traefikApi: flags.traefikApi,
    passwords: passwordsOf(flags),
    passwordFile,
    observers: flags.observer,
    tls:
      host === undefined || secretName === undefined
        ? undefined
        : { host, secretName, ...(clientCaSecret === undefined ? {} : { clientCaSecret }) },
  })
}

function passwordsOf({ secret, existingSecret }: ManifestFlags): BrokerOptions['passwords'] {
  if (existingSecret === true) return 'existing'
  return secret === true ? 'secret' : undefined
}

function connectorOptions(flags: ManifestFlags, { config = {} }: NamedFiles): ConnectorOptions {
  const { modelToken } = flags
  return present({
    namespace: flags.namespace,
    image: flags.image,
    replicas: flags.replicas,
    memoryMi: flags.memory,
    config:
      flags.only === 'mosquitto'
        ? namesOf(config)
        : { ...config, models: { ...(config['models'] as object | undefined), ...modelsOf(flags) } },
    modelToken: modelToken === undefined ? undefined : modelToken === true ? {} : { audience: modelToken },
    secretMounts: flags.mountSecret?.map(secretMount),
    kubeflow: kubeflowOptions(flags),
  })
}

function kubeflowOptions(flags: ManifestFlags): ConnectorOptions['kubeflow'] {
  const { modelNamespace, mode = 'standard', ambient = false, inferenceService = [] } = flags
  const { admitToGateway = false } = flags
  return modelNamespace === undefined
    ? undefined
    : { modelNamespace, mode, ambient, inferenceServices: inferenceService, admitToGateway }
}

function secretMount(text: string): SecretMount {
  const [, secretName, mountPath] = /^([^=]+)=(.+)$/.exec(text) ?? []
  if (secretName === undefined || mountPath === undefined) {
    throw usageError(
      `--mount-secret is "${text}"; expected NAME=FOLDER`,
      'Example: iris-login=/etc/secrets/iris',
    )
  }
  return { secretName, mountPath }
}

// Returns only the values on which the broker's access rules depend, because the connector may be installed elsewhere.
function namesOf({ root, broker }: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const username = (broker as { readonly username?: unknown } | undefined)?.username
  return present({ root, broker: username === undefined ? undefined : { username } })
}

function present<T extends object>(options: { [Key in keyof T]: T[Key] | undefined }): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T
}
