// Finds contradictions in the section `discovery`.
import type { DiscoveryConfig } from './discovery-schema.ts'
import { discoveredCredentialMistake } from './model-credential.ts'
import type { NamedCredentials } from './schema.ts'

type Add = (path: readonly PropertyKey[], message: string) => void

/** What the section refers to. */
export interface Configured {
  /** The names that the operator has given to configured models. */
  readonly models: readonly string[]
  readonly credentials: NamedCredentials
}

/** Checks the section. */
export function checkDiscovery(
  discovery: DiscoveryConfig,
  { models, credentials }: Configured,
  add: Add,
): void {
  const { enabled, namespaces, namespaceSelector, defaultNamespace, kinds, context, kubeconfig } = discovery
  const path = ['discovery']
  if (enabled && namespaces.length === 0 && namespaceSelector === undefined) {
    add([...path, 'namespaces'], 'is empty; list the namespaces to read, or ["*"], or set namespaceSelector')
  }
  if (namespaces.length > 0 && namespaceSelector !== undefined) {
    add([...path, 'namespaceSelector'], 'is set together with namespaces; remove one of the two')
  }
  if (namespaces.includes('*') && namespaces.length > 1) {
    add([...path, 'namespaces'], 'contains "*" and names; remove the names, or "*"')
  }
  const isListed = (name: string): boolean =>
    namespaces.length === 0 || namespaces.includes('*') || namespaces.includes(name)
  if (defaultNamespace !== undefined && !isListed(defaultNamespace)) {
    add([...path, 'defaultNamespace'], `"${defaultNamespace}" is not in namespaces; add it there`)
  }
  if (kinds.includes('TrainedModel') && !kinds.includes('InferenceService')) {
    add([...path, 'kinds'], 'contains TrainedModel, which needs InferenceService too; add it')
  }
  if (context !== undefined && kubeconfig === undefined) {
    add([...path, 'context'], 'is set without kubeconfig; set kubeconfig, or remove context')
  }
  const { url, domain } = discovery.gateway
  if ((url === undefined) !== (domain === undefined)) {
    const missing = url === undefined ? 'url' : 'domain'
    add([...path, 'gateway', missing], 'is missing; set both gateway.url and gateway.domain, or neither')
  }
  checkAliases(discovery, models, isListed, add)
  checkCredentials(discovery, credentials, add)
}

function checkCredentials(
  { credential, credentials: allowed }: DiscoveryConfig,
  credentials: NamedCredentials,
  add: Add,
): void {
  const mistake = credential === undefined ? undefined : discoveredCredentialMistake(credential, credentials)
  if (mistake !== undefined) add(['discovery', 'credential'], mistake)
  for (const [index, name] of allowed.entries()) {
    const mistakeOfName = discoveredCredentialMistake(name, credentials)
    if (mistakeOfName !== undefined) add(['discovery', 'credentials', index], mistakeOfName)
  }
}

function checkAliases(
  { aliases }: DiscoveryConfig,
  models: readonly string[],
  isListed: (namespace: string) => boolean,
  add: Add,
): void {
  const seen = new Map<string, string>()
  for (const [alias, target] of Object.entries(aliases)) {
    const path = ['discovery', 'aliases', alias]
    const earlier = seen.get(target)
    if (models.includes(alias)) {
      add(path, 'is also a name in models; use another alias, or remove the model')
    } else if (earlier !== undefined) {
      add(path, `"${target}" already has the alias "${earlier}"; remove one of the two`)
    } else if (!isListed(target.slice(0, target.indexOf('/')))) {
      add(path, `"${target}" is in a namespace that is not in namespaces; add it there`)
    }
    seen.set(target, alias)
  }
}
