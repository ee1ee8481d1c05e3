// Converts zod's issues to mistakes with the expected value and the nearest valid name.
import { nearestName } from '@inferwire/protocol'
import type { z } from 'zod'
import type { ConfigMistake } from './config-error.ts'
import { renamedMessage, renamedOption } from './renamed-options.ts'
import { keysAt } from './schema-walk.ts'
import { configSchema } from './schema.ts'
import { shownKey, shownPath, shownValue } from './shown.ts'

/** Returns where an option was set: the place in the file, the environment variable or the command line. */
export type SourceOf = (path: readonly PropertyKey[]) => string

/** Converts an issue. An issue that names several unknown keys becomes several mistakes. */
export function toMistakes(issue: z.core.$ZodIssue, values: unknown, sourceOf: SourceOf): ConfigMistake[] {
  if (issue.code === 'invalid_union') {
    const nested = issuesOfMap(issue, valueAt(values, issue.path))
    if (nested !== undefined) return nested.flatMap((each) => toMistakes(each, values, sourceOf))
  }
  if (issue.code === 'unrecognized_keys') {
    const keys = [...new Set(keysAt(configSchema, issue.path))]
    return issue.keys.map((key) => {
      const path = [...issue.path, key]
      const place = { path: shownPath(path), source: sourceOf(path) }
      const renamed = renamedOption(issue.path, key, valueAt(values, issue.path))
      if (renamed !== undefined) return { ...place, message: renamedMessage(renamed) }
      const nearest = nearestName(key, keys)
      if (nearest === key) return { ...place, message: 'is not an option of this kind; remove it' }
      const hint = nearest === undefined ? `valid are: ${keys.join(', ')}` : `did you mean "${nearest}"?`
      return { ...place, message: `is not an option; ${hint}` }
    })
  }
  const { path } = issue
  const place = { path: shownPath(path), source: sourceOf(path) }
  if (issue.code === 'invalid_key') {
    // The issue that describes the key (a model's name) is nested in this one.
    const expected = issue.issues[0]?.message ?? 'another name'
    return [{ ...place, message: `${shownKey(String(path.at(-1)))} is not valid; expected ${expected}` }]
  }
  // The schema's messages that begin with "must" are complete; no "expected …" is added.
  if (issue.message.startsWith('must ')) return [{ ...place, message: issue.message }]
  const value = valueAt(values, path)
  // The option was set under its former name, which has already been reported.
  if (value === undefined && hasFormerName(values, path)) return []
  const found =
    value === undefined
      ? 'is missing'
      : value === null
        ? 'has no value'
        : `${shownValue(path, value)} is not valid`
  return [{ ...place, message: `${found}; expected ${expectedBy(issue)}${meant(issue, value)}` }]
}

// An option may be a word or a map. The mistakes in a map are those of the alternative that is a map.
function issuesOfMap(issue: z.core.$ZodIssueInvalidUnion, value: unknown): z.core.$ZodIssue[] | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const ofMap = issue.errors.find(
    (issues) => !issues.some(({ code, path }) => path.length === 0 && code === 'invalid_type'),
  )
  return ofMap?.map((each) => ({ ...each, path: [...issue.path, ...each.path] }))
}

function hasFormerName(values: unknown, path: readonly PropertyKey[]): boolean {
  const section = path.slice(0, -1)
  const written = valueAt(values, section)
  return (
    typeof written === 'object' &&
    written !== null &&
    Object.keys(written).some((key) => renamedOption(section, key, written)?.now === path.at(-1))
  )
}

/** Returns the value at a path, or undefined. */
export function valueAt(values: unknown, path: readonly PropertyKey[]): unknown {
  let value = values
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<PropertyKey, unknown>)[key]
  }
  return value
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  array: 'a list',
  boolean: 'true or false',
  // zod's name for the expected type if an example has no body.
  nonoptional: 'a JSON value',
  object: 'a map',
  record: 'a map',
  string: 'text',
}

// Keeps the schema's own messages, and replaces zod's messages.
function expectedBy(issue: z.core.$ZodIssue): string {
  const { message } = issue
  if (!/^(?:Invalid|Too) /.test(message)) return message
  if (issue.code === 'invalid_type') return TYPE_NAMES[issue.expected] ?? issue.expected
  if (issue.code === 'invalid_value') return `one of ${issue.values.map(String).join(', ')}`
  if (issue.code === 'too_big') return `a list of at most ${issue.maximum} items`
  if (issue.code === 'too_small') return `a list of at least ${issue.minimum} item`
  return message
}

function meant(issue: z.core.$ZodIssue, value: unknown): string {
  // Very short words are all similar, so a suggestion would be arbitrary.
  if (issue.code !== 'invalid_value' || typeof value !== 'string' || value.length < 4) return ''
  const nearest = nearestName(value, issue.values.map(String))
  return nearest === undefined ? '' : `; did you mean "${nearest}"?`
}
