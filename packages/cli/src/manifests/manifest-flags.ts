// Converts the options of `inferwire manifests` to those of @inferwire/kubernetes.
import { parseModelFlag } from '@inferwire/connector'
import type { BrokerOptions, ConnectorOptions, ManifestOptions, SecretMount } from '@inferwire/kubernetes'
import { usageError } from '../cli-error.ts'

/** The parsed command line. */
export interface ManifestFlags {
  readonly only?: 'mosquitto' | 'connector' | 'traefik'
  readonly namespace?: string
  readonly mosquittoNamespace?: string
  readonly expose?: NonNullable<BrokerOptions['expose']>
  readonly port?: number
  readonly traefikApi?: 'v2' | 'v3'
  readonly mosquitto?: '2.0' | '2.1'
  readonly tlsHost?: string
  readonly tlsSecret?: string
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
}

/** The contents of the files that the options name; undefined if an option is absent. */
export interface NamedFiles {
  readonly passwordFile: string | undefined
  readonly config: Readonly<Record<string, unknown>> | undefined
}

/** @throws CliError, or ConfigError for --model */
export function manifestOptions(flags: ManifestFlags, files: NamedFiles): ManifestOptions {
  return { broker: brokerOptions(flags, files), connector: connectorOptions(flags, files) }
}

function brokerOptions(flags: ManifestFlags, { passwordFile }: NamedFiles): BrokerOptions {
  const { tlsHost: host, tlsSecret: secretName } = flags
  if ((host === undefined) !== (secretName === undefined)) {
    throw usageError('--tls-host and --tls-secret must be used together', 'Use both, or neither.')
  }
  if (flags.existingSecret === true && (flags.secret === true || passwordFile !== undefined)) {
    throw usageError(
      '--existing-secret cannot be combined with --secret or --password-file',
      'With --existing-secret the password file is in a Secret that you create.',
    )
  }
  return present({
    namespace: flags.mosquittoNamespace,
    version: flags.mosquitto,
    expose: flags.expose,
    externalPort: flags.port,
    traefikApi: flags.traefikApi,
    passwords: passwordsOf(flags),
    passwordFile,
    observers: flags.observer,
    tls: host === undefined || secretName === undefined ? undefined : { host, secretName },
  })
}

function passwordsOf({ secret, existingSecret }: ManifestFlags): BrokerOptions['passwords'] {
  if (existingSecret === true) return 'existing'
  return secret === true ? 'secret' : undefined
}

function connectorOptions(flags: ManifestFlags, { config = {} }: NamedFiles): ConnectorOptions {
  const { modelToken, model = [] } = flags
  const models = Object.fromEntries(model.map(parseModelFlag))
  return present({
    namespace: flags.namespace,
    image: flags.image,
    replicas: flags.replicas,
    memoryMi: flags.memory,
    config:
      flags.only === 'mosquitto'
        ? namesOf(config)
        : { ...config, models: { ...(config['models'] as object | undefined), ...models } },
    modelToken: modelToken === undefined ? undefined : modelToken === true ? {} : { audience: modelToken },
    secretMounts: flags.mountSecret?.map(secretMount),
  })
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

// The broker's access rules depend on these two only; the connector may be elsewhere.
function namesOf({ root, broker }: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const username = (broker as { readonly username?: unknown } | undefined)?.username
  return present({ root, broker: username === undefined ? undefined : { username } })
}

function present<T extends object>(options: { [Key in keyof T]: T[Key] | undefined }): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T
}
