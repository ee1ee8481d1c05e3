// Generates the objects of a complete installation: a broker and a connector that is configured for it.
import { contractRules, userNameMistake } from '@inferwire/mosquitto'
import { checkConfig, connectorConfig, connectorObjects, valueAt } from './connector/index.ts'
import { brokerObjects } from './mosquitto/index.ts'
import { kubeflowObjects } from './kubeflow/index.ts'
import type { KubernetesObject } from './object.ts'
import { OptionError } from './option-error.ts'
import {
  completeBroker,
  completeConnector,
  type Broker,
  type BrokerOptions,
  type ConnectorOptions,
} from './options.ts'

/** The parts to install. An omitted part is installed with its defaults. */
export interface ManifestOptions {
  /** false: installs no broker; `connector.config` must contain the address of an existing broker. */
  readonly broker?: BrokerOptions | false
  /** false: installs only the broker. */
  readonly connector?: ConnectorOptions | false
}

/** Returns the objects of both parts, in the order in which they must be applied. @throws OptionError */
export function manifests(options: ManifestOptions = {}): KubernetesObject[] {
  const { broker, connector, kubeflow } = manifestParts(options)
  return [...broker, ...connector, ...kubeflow]
}

/** Returns the objects of each part. @throws OptionError */
export function manifestParts(options: ManifestOptions = {}): {
  readonly broker: KubernetesObject[]
  readonly connector: KubernetesObject[]
  /** Objects in other namespaces, for models in Kubeflow's mesh. */
  readonly kubeflow: KubernetesObject[]
} {
  const broker = options.broker === false ? undefined : completeBroker(options.broker ?? {})
  // The ACL contains rules for a connector even if `options` installs no connector.
  const connector = completeConnector(options.connector === false ? {} : (options.connector ?? {}))
  if (broker === undefined && valueAt(connector.config, 'broker', 'url') === undefined) {
    throw new OptionError('connector.config', 'has no broker.url, and no broker is installed')
  }
  const brokerHost = broker === undefined ? '' : `${broker.name}.${broker.namespace}.svc`
  const config = connectorConfig(connector, brokerHost)
  const isInstalled = options.connector !== false
  if (isInstalled) checkConfig(connector, config)
  if (isInstalled && broker?.name === connector.name && broker.namespace === connector.namespace) {
    throw new OptionError(
      'connector.name',
      `is "${connector.name}", the name of the broker in the same namespace`,
    )
  }
  return {
    broker:
      broker === undefined
        ? []
        : brokerObjects(broker, {
            ...aclNames(config, broker),
            connector: isInstalled ? connector : undefined,
          }),
    connector: isInstalled ? connectorObjects(connector, brokerHost) : [],
    kubeflow: isInstalled ? kubeflowObjects(connector) : [],
  }
}

// Returns the names that the broker's access rules contain.
function aclNames(
  config: Readonly<Record<string, unknown>>,
  { observers }: Broker,
): { root: string; connectorUser: string } {
  const root = textAt(config, 'infer', 'root')
  const connectorUser = textAt(config, 'inferwire', 'broker', 'username')
  const mistake = userNameMistake(connectorUser)
  if (mistake !== undefined) {
    throw new OptionError('connector.config', `has broker.username "${connectorUser}", which ${mistake}`)
  }
  if (observers.includes(connectorUser)) {
    throw new OptionError('broker.observers', `contains "${connectorUser}", the connector's own user`)
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
