// The rules by which objects are mapped: the operator's section `discovery` in the form that the mapping needs.
import type { ConnectorConfig, ModelConfig } from '../config/index.ts'
import type { Refusal } from './discovered-model.ts'

/** The operator's rules for discovered models. */
export interface DiscoveryRules {
  /** `opt-in`: only objects with the label or annotation `inferwire.io/expose: "true"`. */
  readonly expose: 'opt-in' | 'all'
  /** The namespace whose models have their plain names. */
  readonly defaultNamespace: string | undefined
  /** The names that the operator has given, by `{namespace}/{name}`. */
  readonly aliases: ReadonlyMap<string, string>
  /** Whether InferenceServices may have further models. */
  readonly hasTrainedModels: boolean
  /** The DNS domain of the cluster. */
  readonly clusterDomain: string
  /** The gateway to connect to, and the domain of the hosts behind it; undefined = connect to Services. */
  readonly gateway: { readonly url: string; readonly domain: string } | undefined
  /** The options of every discovered model. */
  readonly defaults: Omit<ModelConfig, 'url' | 'host' | 'versions' | 'credential'>
  /** The name of the credential for objects without an annotation; undefined = none. */
  readonly credential: string | undefined
  /** The names of credentials that the annotation may choose. */
  readonly credentials: ReadonlySet<string>
}

/** Returns the rules of a configuration. */
export function rulesOf({ discovery }: Pick<ConnectorConfig, 'discovery'>): DiscoveryRules {
  const { url, domain } = discovery.gateway
  return {
    expose: discovery.expose,
    defaultNamespace: discovery.defaultNamespace,
    aliases: new Map(Object.entries(discovery.aliases).map(([alias, target]) => [target, alias])),
    hasTrainedModels: discovery.kinds.includes('TrainedModel'),
    clusterDomain: discovery.clusterDomain,
    gateway: url === undefined || domain === undefined ? undefined : { url, domain },
    defaults: discovery.defaults,
    credential: discovery.credential,
    credentials: new Set(discovery.credentials),
  }
}
