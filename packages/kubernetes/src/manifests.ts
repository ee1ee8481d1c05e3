// Everything that is installed: broker and connector, made to find each other.
import { connectorConfig, connectorObjects, valueAt } from './connector/index.ts'
import { brokerObjects } from './mosquitto/index.ts'
import type { KubernetesObject } from './object.ts'
import {
  completeBroker,
  completeConnector,
  OptionError,
  type BrokerOptions,
  type ConnectorOptions,
} from './options.ts'

/** What is installed; a part that is left out is installed with its defaults. */
export interface ManifestOptions {
  /** false: the broker is elsewhere, and `connector.config` says where. */
  readonly broker?: BrokerOptions | false
  /** false: only the broker. */
  readonly connector?: ConnectorOptions | false
}

/** The objects of both, in the order in which they are applied. @throws OptionError */
export function manifests(options: ManifestOptions = {}): KubernetesObject[] {
  const { connector, ...rest } = manifestParts(options)
  return [...rest.broker, ...connector]
}

/** The objects of each. @throws OptionError */
export function manifestParts(options: ManifestOptions = {}): {
  readonly broker: KubernetesObject[]
  readonly connector: KubernetesObject[]
} {
  const broker = options.broker === false ? undefined : completeBroker(options.broker ?? {})
  // Without a connector of ours the rules of the ACL are still made for one.
  const connector = completeConnector(options.connector === false ? {} : (options.connector ?? {}))
  if (broker === undefined && valueAt(connector.config, 'broker', 'url') === undefined) {
    throw new OptionError('connector.config', 'has no broker.url, and no broker is installed')
  }
  const brokerHost = broker === undefined ? '' : `${broker.name}.${broker.namespace}.svc`
  const config = connectorConfig(connector, brokerHost)
  const isInstalled = options.connector !== false
  if (valueAt(config, 'admin', 'enabled') === false || valueAt(config, 'admin', 'port') === 0) {
    throw new OptionError(
      'connector.config',
      'switches admin off, or to any port; the kubelet asks /livez and /readyz',
    )
  }
  return {
    broker:
      broker === undefined
        ? []
        : brokerObjects(broker, {
            root: textAt(config, 'infer', 'root'),
            connectorUser: textAt(config, 'inferwire', 'broker', 'username'),
            connector: isInstalled ? connector : undefined,
          }),
    connector: isInstalled ? connectorObjects(connector, brokerHost) : [],
  }
}

function textAt(config: Readonly<Record<string, unknown>>, otherwise: string, ...path: string[]): string {
  const value = valueAt(config, ...path)
  return typeof value === 'string' ? value : otherwise
}
