// Lists every option of the configuration with its path, including those of models.
import { defaultOf, definitionOf, leavesOf, unwrap, type Leaf } from './schema-walk.ts'
import { configSchema } from './schema.ts'

/** The path of the options of every model: `models.*.url`. */
const ANY_MODEL = ['models', '*']

/** Every option in the order of the schema. The options of a model follow `models.*`; `models` itself is not listed. */
export function allOptions(): Leaf[] {
  return leavesOf(configSchema).flatMap((leaf) => {
    const { valueType } = definitionOf(unwrap(leaf.schema))
    return valueType === undefined ? [leaf] : leavesOf(valueType, ANY_MODEL)
  })
}

/** Whether an option belongs to a model. */
export function isModelOption({ path }: Leaf): boolean {
  return path[0] === 'models'
}

/** The default of an option in words, else its value in Markdown's code marks; undefined where there is none. */
export function defaultTextOf({ schema, text }: Leaf): string | undefined {
  if (text.defaultText !== undefined) return text.defaultText
  const value = defaultOf(schema)
  return value === undefined ? undefined : `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``
}
