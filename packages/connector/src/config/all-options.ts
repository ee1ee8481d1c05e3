// Lists every option of the configuration with its path, including the options of models.
import { defaultOf, definitionOf, leavesOf, unwrap, type Leaf } from './schema-walk.ts'
import { configSchema } from './schema.ts'

/**
 * Returns every option in the order of the schema. The options of a map's entries have a `*` in place of the name, as in
 * `models.*.url`; the map itself is not included.
 */
export function allOptions(): Leaf[] {
  return leavesOf(configSchema).flatMap((leaf) => {
    const { valueType } = definitionOf(unwrap(leaf.schema))
    const ofEntries = valueType === undefined ? [] : leavesOf(valueType, [...leaf.path, '*'])
    return ofEntries.length === 0 ? [leaf] : ofEntries
  })
}

/** Returns whether an option belongs to a model. */
export function isModelOption({ path }: Leaf): boolean {
  return path[0] === 'models'
}

/** Returns an option's default in words, or its value as Markdown code; undefined if the option has no default. */
export function defaultTextOf({ schema, text }: Leaf): string | undefined {
  if (text.defaultText !== undefined) return text.defaultText
  const value = defaultOf(schema)
  return value === undefined ? undefined : `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``
}
