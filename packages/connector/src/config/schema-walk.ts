// Walks the schema: finds the valid keys of a section, and all options.
import type { z } from 'zod'
import type { OptionText } from './option.ts'

/** The parts of zod's definitions that are used here. */
interface Definition {
  readonly type: string
  readonly innerType?: z.ZodType
  readonly in?: z.ZodType
  readonly shape?: Record<string, z.ZodType>
  readonly valueType?: z.ZodType
  readonly element?: z.ZodType
  readonly options?: readonly z.ZodType[]
  readonly entries?: Record<string, string>
  readonly values?: readonly unknown[]
  readonly defaultValue?: unknown
}

/** Returns zod's definition of a schema. */
export function definitionOf(schema: z.ZodType): Definition {
  return (schema as unknown as { _zod: { def: Definition } })._zod.def
}

/**
 * Returns the schema of the value as written, without the wrappers `optional`, `default`, `prefault` and `transform`.
 */
export function unwrap(schema: z.ZodType): z.ZodType {
  const { type, innerType, in: input } = definitionOf(schema)
  if (type === 'pipe' && input !== undefined) return unwrap(input)
  return innerType === undefined ? schema : unwrap(innerType)
}

/** Returns the default of an option, or undefined. */
export function defaultOf(schema: z.ZodType): unknown {
  const { type, innerType, in: input, defaultValue } = definitionOf(schema)
  if (type === 'default') return defaultValue
  if (type === 'pipe' && input !== undefined) return defaultOf(input)
  return innerType === undefined ? undefined : defaultOf(innerType)
}

/** Returns the `OptionText` of an option; undefined for a section. */
export function textOf(schema: z.ZodType): OptionText | undefined {
  const meta = schema.meta() as OptionText | undefined
  return meta?.description === undefined ? undefined : meta
}

/** Returns the valid keys of the section at a path; empty if there is no section. */
export function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  const inner = unwrap(schema)
  const { shape, valueType, element, options } = definitionOf(inner)
  if (path.length === 0) {
    if (shape !== undefined) return Object.keys(shape)
    return (options ?? []).flatMap((option) => keysAt(option, []))
  }
  const [key, ...rest] = path
  const next = shape?.[String(key)] ?? valueType ?? element
  return next === undefined ? [] : keysAt(next, rest)
}

/** An option. */
export interface Leaf {
  readonly path: readonly string[]
  readonly schema: z.ZodType
  readonly text: OptionText
}

/** Returns all options in a schema, in schema order. Descends into sections, but not into maps such as `models`. */
export function leavesOf(schema: z.ZodType, path: readonly string[] = []): Leaf[] {
  const { shape } = definitionOf(unwrap(schema))
  if (shape !== undefined && textOf(schema) === undefined) {
    return Object.entries(shape).flatMap(([key, value]) => leavesOf(value, [...path, key]))
  }
  const text = textOf(schema)
  return text === undefined ? [] : [{ path, schema, text }]
}
