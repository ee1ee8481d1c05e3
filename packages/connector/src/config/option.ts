// Creates the schema's options, each with its description, unit and marks.
import { z } from 'zod'

/** The properties of an option in addition to its type. */
export interface OptionText {
  /** One sentence that fits into a table cell: at most 120 characters. */
  readonly description: string
  /** Further text, as a paragraph below the table. */
  readonly details?: string
  readonly unit?: 'ms' | 's' | 'bytes' | 'requests'
  /** The default in words, if it is not a constant. */
  readonly defaultText?: string
  /** Whether the option is documented after the options that most installations set. */
  readonly isAdvanced?: boolean
  /** Whether the value is never shown, and is rejected in a configuration file. */
  readonly isSecret?: boolean
  /** Whether the value names a file that must be readable when the configuration is loaded. */
  readonly isFile?: boolean
}

/** Attaches the text to an option. Must be the outermost call: zod's wrappers do not inherit the text. */
export function option<Schema extends z.ZodType>(schema: Schema, text: OptionText): Schema {
  return schema.meta({ ...text })
}

/** Marks an option as advanced. Must be the outermost call, around `option`. */
export function advanced<Schema extends z.ZodType>(schema: Schema): Schema {
  return schema.meta({ ...schema.meta(), isAdvanced: true })
}

/** The smallest, the largest and the default value of a whole number. */
export interface Range {
  readonly min: number
  readonly max: number
  readonly default: number
}

/** Returns an option for a whole number with a default. */
export function integer(range: Range, unit: OptionText['unit'], description: string, details?: string) {
  return option(wholeNumber(range).default(range.default), {
    description,
    ...(details === undefined ? {} : { details }),
    ...(unit === undefined ? {} : { unit }),
  })
}

/**
 * Returns an option for a number of bytes whose default is at most 1/`part` of the process's memory limit (set by its
 * control group), so that the defaults do not exhaust the memory of a small container.
 */
export function bytesOfMemory(range: Range, part: number, description: string) {
  const schema = wholeNumber(range).default(() => {
    // Node.js returns 0 or undefined for an unknown limit, and a number far above the machine's memory if there is no
    // limit.
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
      // YAML supports -0, which would be printed as 0.
      .overwrite((value) => value + 0)
  )
}

/** Returns a schema for text that passes `isValid`; `expected` completes the sentence "expected …". */
export function text(isValid: (value: string) => boolean, expected: string) {
  return z.string({ error: expected }).refine(isValid, { error: expected })
}

/** Returns an option for the path of a file, which is checked when the configuration is loaded. */
export function file(description: string) {
  return option(filePath, { description, isFile: true })
}

/** Like `file`, but the option may be omitted. */
export function optionalFile(description: string) {
  return option(filePath.optional(), { description, isFile: true })
}

const filePath = text(
  (value) => value.length > 0 && value.length <= 4096 && !value.includes('\0'),
  'the path of a file',
)
