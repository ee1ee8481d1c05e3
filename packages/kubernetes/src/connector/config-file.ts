// The connector's configuration in the cluster: what the installation decides, and what the user says on top.
import type { Connector } from '../options.ts'

/** Where the pod mounts what the connector reads and writes. */
export const PATHS = {
  config: '/etc/inferwire/config',
  broker: '/etc/inferwire/broker',
  token: '/var/run/secrets/inferwire',
  state: '/var/lib/inferwire',
} as const

// Of /livez, /readyz and /metrics where the configuration does not say another.
const ADMIN_PORT = 8383
const DRAIN_TIMEOUT_MS = 25_000

/** A configuration, or a part of one. */
export type ConfigValues = Readonly<Record<string, unknown>>

/** What the user says wins; maps are merged, everything else replaced. `brokerHost` is the broker's Service. */
export function connectorConfig(connector: Connector, brokerHost: string): ConfigValues {
  const { brokerSecret, replicas } = connector
  const defaults = {
    broker: {
      url: `mqtt://${brokerHost}:1883`,
      ...(brokerSecret === '' ? {} : { username: 'inferwire', passwordFile: `${PATHS.broker}/password` }),
      // A pod whose node is lost may come back only when somebody has looked after the node.
      sessionExpirySeconds: 3600,
      // A lone connector keeps its subscription while it restarts; several share one.
      ...(replicas > 1 ? { share: 'inferwire' } : {}),
    },
    models: {},
    // Kubelet and Prometheus come from outside of the pod.
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

/** A value of the configuration by its path; undefined where it is not there. */
export function valueAt(config: ConfigValues, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (isMap(value) ? value[key] : undefined), config)
}

/** Seconds until the kubelet kills: the drain, and time to say good-bye. */
export function gracePeriodSeconds(config: ConfigValues): number {
  const timeoutMs = valueAt(config, 'drain', 'timeoutMs')
  return Math.ceil((typeof timeoutMs === 'number' ? timeoutMs : DRAIN_TIMEOUT_MS) / 1000) + 5
}

/** The port of the probes. */
export function adminPort(config: ConfigValues): number {
  const port = valueAt(config, 'admin', 'port')
  return typeof port === 'number' ? port : ADMIN_PORT
}

function isMap(value: unknown): value is ConfigValues {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
