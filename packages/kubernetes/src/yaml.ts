// Objects as YAML, the way people write it.
import { stringify } from 'yaml'
import type { KubernetesObject } from './object.ts'

/** One document. */
export function yamlText(value: unknown): string {
  return stringify(value, { lineWidth: 0, singleQuote: true, aliasDuplicateObjects: false })
}

/** Objects as a stream of documents, as `kubectl apply -f -` takes it. */
export function manifestText(objects: readonly KubernetesObject[]): string {
  return objects.map(yamlText).join('---\n')
}
