// Objects as YAML, the way people write it.
import { parse, stringify } from 'yaml'
import type { KubernetesObject } from './object.ts'

/** One document. */
export function yamlText(value: unknown): string {
  return stringify(value, { lineWidth: 0, singleQuote: true, aliasDuplicateObjects: false })
}

/** Objects as a stream of documents, as `kubectl apply -f -` takes it. */
export function manifestText(objects: readonly KubernetesObject[]): string {
  return objects.map(yamlText).join('---\n')
}

/** The map that a YAML text holds; aliases are bounded. @throws Error when it holds something else */
export function parseYamlMap(text: string): Record<string, unknown> {
  const value: unknown = parse(text, { maxAliasCount: 50 })
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error('The YAML text holds no map.')
  }
  return value as Record<string, unknown>
}
