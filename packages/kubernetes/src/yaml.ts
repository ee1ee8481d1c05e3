// Formats and parses YAML.
import { parse, stringify } from 'yaml'
import type { KubernetesObject } from './object.ts'

/** Returns a value as a YAML document. */
export function yamlText(value: unknown): string {
  return stringify(value, { lineWidth: 0, singleQuote: true, aliasDuplicateObjects: false })
}

/** Returns objects as a stream of YAML documents, for `kubectl apply -f -`. */
export function manifestText(objects: readonly KubernetesObject[]): string {
  return objects.map(yamlText).join('---\n')
}

/** Parses a YAML map, with a limit on aliases. @throws Error for any other value */
export function parseYamlMap(text: string): Record<string, unknown> {
  const value: unknown = parse(text, { maxAliasCount: 50 })
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error('The YAML text is not a map.')
  }
  return value as Record<string, unknown>
}
