// Everything that is installed: broker and connector, made to find each other.
import { contractRules, userNameMistake } from '@inferwire/mosquitto'
import { checkConfig, connectorConfig, connectorObjects, valueAt } from './connector/index.ts'
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
  if (isInstalled) checkConfig(connector, config)
  if (isInstalled && broker?.name === connector.name && broker.namespace === connector.namespace) {
    throw new OptionError('connector.name', `is "${connector.name}", like the broker's in this namespace`)
  }
  return {
    broker:
      broker === undefined
        ? []
        : brokerObjects(broker, {
            ...aclNames(config),
            connector: isInstalled ? connector : undefined,
          }),
    connector: isInstalled ? connectorObjects(connector, brokerHost) : [],
  }
}

// The broker's access rules are made of them.
function aclNames(config: Readonly<Record<string, unknown>>): { root: string; connectorUser: string } {
  const root = textAt(config, 'infer', 'root')
  const connectorUser = textAt(config, 'inferwire', 'broker', 'username')
  const mistake = userNameMistake(connectorUser)
  if (mistake !== undefined) {
    throw new OptionError('connector.config', `has broker.username "${connectorUser}", which ${mistake}`)
  }
  try {
    contractRules(root)
  } catch (error) {
    throw new OptionError('connector.config', `has a root that cannot be used: ${(error as Error).message}`)
  }
  return { root, connectorUser }
}

function textAt(config: Readonly<Record<string, unknown>>, otherwise: string, ...path: string[]): string {
  const value = valueAt(config, ...path)
  return typeof value === 'string' ? value : otherwise
}
