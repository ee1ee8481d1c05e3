// The identities under which the connector's calls can reach the pods of a model.
import type { ConnectorConfig } from '@inferwire/connector'
import type { Known } from '../context.ts'
import type { Caller } from './authorization-rules.ts'
import type { FoundService } from './inference-service.ts'
import type { ServiceAccount } from './open-cluster.ts'

/** Whose token the connector sends: its ServiceAccount's, that of an unknown user, or none. */
export type TokenOwner = 'service-account' | 'unknown' | 'none'

// Calls through Kubeflow's gateway, and calls that Knative forwards, arrive under these identities.
const GATEWAY = { namespace: 'istio-system', account: 'istio-ingressgateway-service-account' }
const ACTIVATOR = { namespace: 'knative-serving', account: 'activator' }

/** Finds out whose tokens the configuration uses; without one, that of the ServiceAccount is possible. */
export function tokenOwnerOf(
  config: Known<Pick<ConnectorConfig, 'models' | 'credentials' | 'discovery'>>,
): TokenOwner {
  if ('missing' in config) return 'service-account'
  const { models, credentials, discovery } = config.value
  const used = [
    ...Object.values(models).map(({ credential }) => credential),
    ...(discovery.enabled ? [discovery.credential ?? [], discovery.credentials].flat() : []),
  ]
  const kinds = used.map((each) => (typeof each === 'string' ? credentials[each]?.kind : each.kind))
  const tokens = kinds.filter((kind) => kind !== undefined && kind !== 'none' && kind !== 'mtls')
  if (tokens.length === 0) return 'none'
  return tokens.every((kind) => kind === 'token-file') ? 'service-account' : 'unknown'
}

/** Returns the identities; it is enough if the policies allow one of them. */
export function callersOf(
  { namespace, name }: ServiceAccount,
  { mode }: Pick<FoundService, 'mode'>,
  token: TokenOwner,
): Caller[] {
  const direct = mode === 'standard' ? { namespace, account: name } : ACTIVATOR
  if (token === 'none') return [direct]
  const userIds = [`system:serviceaccount:${namespace}:${name}`, ...(token === 'unknown' ? [null] : [])]
  const places = mode === 'standard' ? [GATEWAY] : [GATEWAY, ACTIVATOR]
  return [direct, ...userIds.flatMap((userId) => places.map((place) => ({ ...place, userId })))]
}
