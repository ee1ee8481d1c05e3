// Builds the context: whose configuration, whose logins, which broker.
import { randomBytes } from 'node:crypto'
import { loadConfig, readPassword, type ConnectorConfig } from '@inferwire/connector'
import { TopicSpace } from '@inferwire/protocol'
import { brokerTarget, type BrokerFlags } from '../broker-flags.ts'
import type { ClusterFlags } from './cluster/cluster-flags.ts'
import type { ClientSide, DoctorContext, Known, Side } from './context.ts'

/** The options of the command. */
export interface DoctorFlags extends BrokerFlags, ClusterFlags {
  readonly config?: string
  readonly output?: 'json'
  readonly sample?: boolean
}

const TIMEOUT_DEFAULT_SECONDS = 5
// Share of a check's time limit in which a message must arrive.
const MESSAGE_SHARE = 0.4
const CLIENT_KEEP_ALIVE_SECONDS = 15
const NO_CONFIG = "the connector's configuration is unknown; add -c FILE"

/** @throws CliError for options that are not valid */
export function openContext(flags: DoctorFlags, env: NodeJS.ProcessEnv): DoctorContext {
  const configFile = flags.config ?? env['INFERWIRE_CONFIG']
  const { config, configError } = load(configFile, env)
  const client = clientSide(flags, env, config, configFile)
  const connector = connectorSide(config)
  const timeoutMs = (flags.timeout ?? TIMEOUT_DEFAULT_SECONDS) * 1_000
  const root = flags.root ?? ('value' in config ? config.value.root : (env['INFERWIRE_ROOT'] ?? 'infer'))
  return {
    timeoutMs,
    messageMs: timeoutMs * MESSAGE_SHARE,
    nonce: randomBytes(6).toString('hex'),
    runsSamples: flags.sample === true,
    configFile,
    configError,
    config,
    topics: new TopicSpace(root),
    clusterFlags: flags,
    env,
    connector,
    client,
    sides: [connector, client].flatMap((side) => ('value' in side ? [side.value] : [])),
    links: {},
  }
}

function load(
  file: string | undefined,
  env: NodeJS.ProcessEnv,
): { readonly config: Known<ConnectorConfig>; readonly configError: unknown } {
  if (file === undefined) return { config: { missing: NO_CONFIG }, configError: undefined }
  try {
    return { config: { value: loadConfig({ file, env }) }, configError: undefined }
  } catch (configError) {
    return { config: { missing: 'configuration.file failed' }, configError }
  }
}

function connectorSide(config: Known<ConnectorConfig>): Known<Side> {
  if ('missing' in config) return config
  const { broker } = config.value
  const url = new URL(broker.url)
  return {
    value: {
      who: `the connector (${loginOf(broker)})`,
      target: {
        url,
        mqttVersion: broker.mqttVersion,
        username: broker.username,
        password: () => readPassword(broker),
        tls: broker.tls,
        keepAliveSeconds: broker.keepAliveSeconds,
        caOption: 'broker.tls.caFile',
      },
    },
  }
}

function loginOf({ username, tls }: ConnectorConfig['broker']): string {
  if (username !== undefined) return `user "${username}"`
  return tls.certFile === undefined ? 'without a user name' : 'with a client certificate'
}

/**
 * Returns the client. With a configuration file, the INFERWIRE_* variables belong to the connector, and the client's
 * login is only in the options. Without one, they belong to the client, as for the other commands.
 */
export function clientSide(
  flags: DoctorFlags,
  env: NodeJS.ProcessEnv,
  config: Known<ConnectorConfig>,
  configFile: string | undefined,
): Known<ClientSide> {
  const hasPlace = flags.broker !== undefined || flags.host !== undefined || flags.port !== undefined
  if (configFile === undefined) return { value: toClient(flags, brokerTarget(flags, env), undefined) }
  if ('missing' in config) {
    return hasPlace ? { value: toClient(flags, brokerTarget(flags, {}), undefined) } : config
  }
  const { broker } = config.value
  // A client without a user name would be another user than a connector that logs in.
  const logsIn = broker.username !== undefined || broker.tls.certFile !== undefined
  if (flags.username === undefined && logsIn && !hasPlace) {
    return { missing: 'the login of a client is unknown; add -u USER --password-file FILE' }
  }
  const target = brokerTarget(hasPlace ? flags : { ...flags, broker: broker.url }, {})
  return { value: toClient(flags, target, hasPlace ? undefined : config.value) }
}

function toClient(
  flags: DoctorFlags,
  target: ReturnType<typeof brokerTarget>,
  config: ConnectorConfig | undefined,
): ClientSide {
  const { username, password, identity, url, mqttVersion, caFile } = target
  const shared = config?.broker.tls
  return {
    who: username === undefined ? 'the client (without a user name)' : `the client (user "${username}")`,
    identity,
    target: {
      url,
      mqttVersion: flags.mqttVersion === 5 && config !== undefined ? config.broker.mqttVersion : mqttVersion,
      username,
      password: () => password,
      tls: {
        caFile: caFile ?? shared?.caFile,
        serverName: shared?.serverName,
        insecureSkipVerify: shared?.insecureSkipVerify,
      },
      keepAliveSeconds: CLIENT_KEEP_ALIVE_SECONDS,
      caOption: config === undefined ? '--cafile' : 'broker.tls.caFile',
    },
  }
}
