// The names of a configured model on topics.
import type { ModelConfig } from './schema.ts'

/** The names of a model and its versions on topics: `{name}` and each `{name}@{version}`. */
export function exposedNames(name: string, { versions }: Pick<ModelConfig, 'versions'>): string[] {
  return [name, ...versions.map((version) => `${name}@${version}`)]
}
