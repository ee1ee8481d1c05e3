// The configuration as JSON Schema, for editors and for the Helm chart.
import { z } from 'zod'
import { configSchema } from './schema.ts'

/** JSON Schema (draft 2020-12) of what may be written. */
export function configJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(configSchema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      // Ours, for the reference page; not words of JSON Schema.
      for (const key of ['unit', 'defaultText', 'isSecret', 'isFile'])
        delete (jsonSchema as Record<string, unknown>)[key]
    },
  })
  return { ...schema, title: 'Inferwire connector configuration' }
}
