// The connector's configuration in the cluster: the installation's settings, overridden by the user's settings.
import type { Connector } from '../options.ts'

/** The mount paths in the connector's pod. */
export const PATHS = {
  config: '/etc/inferwire/config',
  broker: '/etc/inferwire/broker',
  token: '/var/run/secrets/inferwire',
  state: '/var/lib/inferwire',
} as const

// The connector's own defaults, which apply if the configuration does not set these options.
const ADMIN_PORT = 8383
const DRAIN_TIMEOUT_MS = 25_000

/** A configuration, or part of one. */
export type ConfigValues = Readonly<Record<string, unknown>>

/**
 * Returns the configuration. The user's values take precedence: maps are merged, other values replaced. `brokerHost` is
 * the name of the broker's Service.
 */
export function connectorConfig(connector: Connector, brokerHost: string): ConfigValues {
  const { brokerSecret, replicas } = connector
  const defaults = {
    broker: {
      url: `mqtt://${brokerHost}:1883`,
      ...(brokerSecret === '' ? {} : { username: 'inferwire', passwordFile: `${PATHS.broker}/password` }),
      // Long enough for the session to survive the loss of a node: an operator may have to repair or remove the
      // node before the pod restarts.
      sessionExpirySeconds: 3600,
      // A single connector keeps its own subscription across restarts; several connectors share a subscription.
      ...(replicas > 1 ? { share: 'inferwire' } : {}),
    },
    models: {},
    // The kubelet and Prometheus connect from outside the pod.
    admin: { host: '0.0.0.0' },
  }
  return merged(defaults, connector.config)
}

function merged(defaults: ConfigValues, values: ConfigValues): ConfigValues {
  const result: Record<string, unknown> = { ...defaults }
  for (const [key, value] of Object.entries(values)) {
    const known = result[key]
    result[key] = isMap(known) && isMap(value) ? merged(known, value) : value
  }
  return result
}

/** Returns the value at a path of the configuration; undefined if absent. */
export function valueAt(config: ConfigValues, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (isMap(value) ? value[key] : undefined), config)
}

/**
 * Returns the seconds that the kubelet waits before it kills the connector: the drain timeout, plus 5 s to disconnect.
 */
export function gracePeriodSeconds(config: ConfigValues): number {
  const timeoutMs = valueAt(config, 'drain', 'timeoutMs')
  return Math.ceil((typeof timeoutMs === 'number' ? timeoutMs : DRAIN_TIMEOUT_MS) / 1000) + 5
}

/** Returns the port that serves the probes and the metrics. */
export function adminPort(config: ConfigValues): number {
  const port = valueAt(config, 'admin', 'port')
  return typeof port === 'number' ? port : ADMIN_PORT
}

/** Returns what the configuration names: servers, and the namespaces of discovery. */
export function destinations(config: ConfigValues): { urls: string[]; namespaces: string[] } {
  const namespaces = valueAt(config, 'discovery', 'namespaces')
  const named = Array.isArray(namespaces) ? (namespaces as unknown[]) : []
  return {
    urls: serverUrls(config),
    namespaces: named.filter((name): name is string => typeof name === 'string' && name !== '*'),
  }
}

// Returns the URLs of the broker, the configured models, the gateway of discovery, and the issuers of tokens.
function serverUrls(config: ConfigValues): string[] {
  const urls = [
    valueAt(config, 'broker', 'url'),
    ...members(config, 'models').map(({ url }) => url),
    valueAt(config, 'discovery', 'gateway', 'url'),
    ...members(config, 'credentials').map(({ tokenUrl }) => tokenUrl),
  ]
  return urls.filter((url): url is string => typeof url === 'string' && URL.canParse(url))
}

// Returns the maps in a section of the configuration.
function members(config: ConfigValues, section: string): ConfigValues[] {
  return Object.values((config[section] ?? {}) as ConfigValues).filter(isMap)
}

function isMap(value: unknown): value is ConfigValues {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
