// Parses objects from YAML, and sorts them for comparisons.
import type { KubernetesObject } from '@inferwire/kubernetes'
import { parseAllDocuments } from 'yaml'

/** Returns the objects in a YAML stream. @throws Error for invalid YAML and for duplicate keys */
export function documents(text: string): KubernetesObject[] {
  return parseAllDocuments(text, { uniqueKeys: true })
    .map((document) => {
      if (document.errors.length > 0) throw document.errors[0]!
      return document.toJS() as KubernetesObject
    })
    .filter((value) => value !== null)
}

/** Sorts by kind and name. */
export function sorted(objects: readonly KubernetesObject[]): KubernetesObject[] {
  return objects.toSorted((a, b) => nameOf(a).localeCompare(nameOf(b)))
}

function nameOf({ kind, metadata }: KubernetesObject): string {
  return `${kind} ${metadata.namespace ?? ''} ${metadata.name}`
}
