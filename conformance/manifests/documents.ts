// Objects out of YAML, in an order in which they can be compared.
import type { KubernetesObject } from '@inferwire/kubernetes'
import { parseAllDocuments } from 'yaml'

/** The objects of a stream. @throws Error for what is no YAML, or has a key twice */
export function documents(text: string): KubernetesObject[] {
  return parseAllDocuments(text, { uniqueKeys: true })
    .map((document) => {
      if (document.errors.length > 0) throw document.errors[0]!
      return document.toJS() as KubernetesObject
    })
    .filter((value) => value !== null)
}

/** By kind and name. */
export function sorted(objects: readonly KubernetesObject[]): KubernetesObject[] {
  return objects.toSorted((a, b) => nameOf(a).localeCompare(nameOf(b)))
}

function nameOf({ kind, metadata }: KubernetesObject): string {
  return `${kind} ${metadata.name}`
}
