// The configuration file as JSON Schema, for editors and for the Helm chart.
import { z } from 'zod'
import { configSchema } from './schema.ts'

/**
 * Returns the JSON Schema (draft 2020-12) of a configuration file. `x-advanced: true` marks the options that most
 * installations leave at their default.
 */
export function configJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' })
  return {
    ...(toPublicSchema(schema) as Record<string, unknown>),
    title: 'Inferwire connector configuration',
  }
}

// Members of OptionText that are not JSON Schema keywords.
const PRIVATE = new Set(['unit', 'details', 'defaultText', 'isAdvanced', 'isSecret', 'isFile'])

function toPublicSchema(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(toPublicSchema)
  if (typeof schema !== 'object' || schema === null) return schema
  const { description, details, isAdvanced } = schema as Record<string, unknown>
  // A default that is given in words depends on the machine or on other options, so it is not a constant.
  const hasOpenDefault = 'defaultText' in schema
  const entries = Object.entries(schema)
    .filter(([key]) => !(hasOpenDefault && key === 'default'))
    // A file must not contain a secret, so an editor must not suggest the option for it.
    .filter(
      ([key, value]) => !PRIVATE.has(key) && (value as { isSecret?: unknown } | null)?.isSecret !== true,
    )
    .map(([key, value]) => [key, toPublicSchema(value)])
  return {
    ...Object.fromEntries(entries),
    ...(typeof details === 'string' ? { description: `${String(description)} ${details}` } : {}),
    ...(isAdvanced === true ? { 'x-advanced': true } : {}),
  }
}
