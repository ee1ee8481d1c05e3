// The configuration file as JSON Schema, for editors and for the Helm chart.
import { z } from 'zod'
import { configSchema } from './schema.ts'

/** JSON Schema (draft 2020-12) of what may be written into the file. */
export function configJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' })
  return { ...(withoutOurs(schema) as Record<string, unknown>), title: 'Inferwire connector configuration' }
}

// For the reference page; not words of JSON Schema.
const OURS = new Set(['unit', 'defaultText', 'isSecret', 'isFile'])

function withoutOurs(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutOurs)
  if (typeof schema !== 'object' || schema === null) return schema
  // A default that the machine decides is no part of the schema.
  const isOpen = 'defaultText' in schema
  const entries = Object.entries(schema)
    .filter(([key]) => !(isOpen && key === 'default'))
    // A file takes no secrets, so an editor must not offer them.
    .filter(([key, value]) => !OURS.has(key) && (value as { isSecret?: unknown } | null)?.isSecret !== true)
    .map(([key, value]) => [key, withoutOurs(value)])
  return Object.fromEntries(entries)
}
