// The options of `inferwire manifests` as those of the package that makes the objects.
import { parseModelFlag } from '@inferwire/connector'
import type { BrokerOptions, ConnectorOptions, ManifestOptions } from '@inferwire/kubernetes'
import { usageError } from '../cli-error.ts'

/** What commander collects. */
export interface ManifestFlags {
  readonly only?: 'mosquitto' | 'connector'
  readonly namespace?: string
  readonly mosquittoNamespace?: string
  readonly expose?: NonNullable<BrokerOptions['expose']>
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
}

/** The texts of the files that are named; undefined where none is. */
export interface NamedFiles {
  readonly passwordFile: string | undefined
  readonly config: Readonly<Record<string, unknown>> | undefined
}

/** @throws CliError, or what is wrong with a model */
export function manifestOptions(flags: ManifestFlags, files: NamedFiles): ManifestOptions {
  return { broker: brokerOptions(flags, files), connector: connectorOptions(flags, files) }
}

function brokerOptions(flags: ManifestFlags, { passwordFile }: NamedFiles): BrokerOptions {
  const { tlsHost: host, tlsSecret: secretName } = flags
  if ((host === undefined) !== (secretName === undefined)) {
    throw usageError('--tls-host and --tls-secret belong together', 'Give both, or none.')
  }
  if (flags.existingSecret === true && (flags.secret === true || passwordFile !== undefined)) {
    throw usageError(
      '--existing-secret makes no password file',
      'Leave out --secret and --password-file, or --existing-secret.',
    )
  }
  return present({
    namespace: flags.mosquittoNamespace,
    version: flags.mosquitto,
    expose: flags.expose,
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
  })
}

// All that the broker's access rules need to know of a connector, which may be elsewhere.
function namesOf({ root, broker }: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const username = (broker as { readonly username?: unknown } | undefined)?.username
  return present({ root, broker: username === undefined ? undefined : { username } })
}

function present<T extends object>(options: { [Key in keyof T]: T[Key] | undefined }): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T
}
