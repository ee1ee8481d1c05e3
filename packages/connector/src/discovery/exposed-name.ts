// The name of a discovered model in topics. The name contains the namespace, so that no namespace can take another's names.
import { isModelName } from '@inferwire/protocol'
import { type Kind, type ObjectKey, type Refusal } from './discovered-model.ts'
import { shown, textAt, type UntrustedObject } from './untrusted-object.ts'
import type { DiscoveryRules } from './rules.ts'

// RFC 1123: a label. Without dots, `{name}.{namespace}` has exactly one meaning.
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/** Reads the identity of an object. KServe accepts only names that are DNS labels. */
export function keyOf(kind: Kind, object: UntrustedObject): ObjectKey | Refusal {
  const name = textAt(object, 'metadata', 'name') ?? ''
  const namespace = textAt(object, 'metadata', 'namespace') ?? ''
  for (const [what, text] of [
    ['name', name],
    ['namespace', namespace],
  ] as const) {
    if (LABEL.test(text)) continue
    return {
      refused: 'name',
      message: `The ${what} "${shown(text)}" of the ${kind} is not a DNS label. Rename the object: lower-case letters, digits and "-", at most 63 characters.`,
    }
  }
  return { kind, namespace, name }
}

/** Returns the name in topics: the operator's alias, `{name}` in the default namespace, otherwise `{name}.{namespace}`. */
export function exposedName(
  { namespace, name }: ObjectKey,
  { aliases, defaultNamespace }: Pick<DiscoveryRules, 'aliases' | 'defaultNamespace'>,
): string {
  const alias = aliases.get(`${namespace}/${name}`)
  if (alias !== undefined && isModelName(alias)) return alias
  return namespace === defaultNamespace ? name : `${name}.${namespace}`
}
