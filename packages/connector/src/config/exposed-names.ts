// The names of a configured model on the topics.
import type { ModelConfig } from './schema.ts'

/** The names under which a configured model and its versions are exposed: its own, and `{name}@{version}`. */
export function exposedNames(name: string, { versions }: Pick<ModelConfig, 'versions'>): string[] {
  return [name, ...versions.map((version) => `${name}@${version}`)]
}
