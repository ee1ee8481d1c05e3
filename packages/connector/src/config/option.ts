// The kinds of option that the schema is written with: each carries its description and its unit.
import { z } from 'zod'

/** What an option says about itself beside its type. */
export interface OptionText {
  /** One or two sentences for the reference page. */
  readonly description: string
  readonly unit?: 'ms' | 's' | 'bytes' | 'requests'
  /** Where the default is not a constant: what it is, in words. */
  readonly defaultText?: string
  /** Never shown, and not taken from a configuration file. */
  readonly isSecret?: boolean
  /** Names a file that must be readable when the configuration is loaded. */
  readonly isFile?: boolean
}

/** Attaches the text to an option. Must come last: zod's wrappers do not inherit it. */
export function option<Schema extends z.ZodType>(schema: Schema, text: OptionText): Schema {
  return schema.meta({ ...text })
}

/** Where a whole number may lie, both ends included. */
export interface Range {
  readonly min: number
  readonly max: number
  readonly default: number
}

/** A whole number with a default. */
export function integer(range: Range, unit: OptionText['unit'], description: string) {
  return option(wholeNumber(range).default(range.default), {
    description,
    ...(unit === undefined ? {} : { unit }),
  })
}

/**
 * Bytes whose default is at most a part of the memory that the process may use (the limit of its control group):
 * with the defaults a small container must not end for lack of memory.
 */
export function bytesOfMemory(range: Range, part: number, description: string) {
  const schema = wholeNumber(range).default(() => {
    // 0 or undefined where the system cannot tell; far more than the machine has where there is no limit.
    const limit = process.constrainedMemory() || Infinity
    return Math.max(range.min, Math.min(range.default, Math.floor(limit / part)))
  })
  return option(schema, {
    description,
    unit: 'bytes',
    defaultText: `\`${range.default}\`, at most 1/${part} of the memory limit`,
  })
}

function wholeNumber(range: Omit<Range, 'default'>) {
  const error = `a whole number from ${range.min} to ${range.max}`
  return (
    z
      .int({ error })
      .min(range.min, { error })
      .max(range.max, { error })
      // YAML has -0; printed it would be another text than the one that was read.
      .overwrite((value) => value + 0)
  )
}

/** Text that a function accepts; `expected` completes the sentence "expected …". */
export function text(isValid: (value: string) => boolean, expected: string) {
  return z.string({ error: expected }).refine(isValid, { error: expected })
}

/** The path of a file, checked when the configuration is loaded. */
export function file(description: string) {
  return option(filePath, { description, isFile: true })
}

/** Like `file`, where it may be left out. */
export function optionalFile(description: string) {
  return option(filePath.optional(), { description, isFile: true })
}

const filePath = text(
  (value) => value.length > 0 && value.length <= 4096 && !value.includes('\0'),
  'the path of a file',
)
