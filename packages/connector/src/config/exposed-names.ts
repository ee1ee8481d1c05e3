// Lists the names that a configured model has in topics.
import type { ModelConfig } from './schema.ts'

/** Returns the names that a model and its versions have in topics: `{name}` and each `{name}@{version}`. */
export function exposedNames(name: string, { versions }: Pick<ModelConfig, 'versions'>): string[] {
  return [name, ...versions.map((version) => `${name}@${version}`)]
}
