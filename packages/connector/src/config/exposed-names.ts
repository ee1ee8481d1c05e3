// Lists the names that a configured model has on topics.
import type { ModelConfig } from './schema.ts'

/** Returns the names that a model and its versions have on topics: `{name}` and each `{name}@{version}`. */
export function exposedNames(name: string, { versions }: Pick<ModelConfig, 'versions'>): string[] {
  return [name, ...versions.map((version) => `${name}@${version}`)]
}
