// The type of a fuzz target, and how it reports a broken promise.
import type { Random } from '../fixtures/random.ts'

/** Code that handles untrusted bytes. */
export interface FuzzTarget {
  /** Also the name of its folder below `corpus/`. */
  readonly name: string
  /** Generated inputs that reach deep code; the corpus folder has further ones. */
  readonly seedInputs: readonly Buffer[]
  /** Tokens that mutations insert. */
  readonly dictionary: readonly Buffer[]
  /** Longest input in bytes. @default 4096 */
  readonly inputBytesMax?: number
  /** A format-aware mutation, applied instead of or after the generic ones. */
  readonly mutate?: (input: Buffer, random: Random) => Buffer
  /**
   * Runs the code under test with the input and checks the result.
   * @returns a label of the behaviour; an input with a new label is kept and mutated further.
   * @throws Wrong if a promise of the code is broken; any other error is a finding too.
   */
  run(input: Buffer): string | Promise<string>
}

/** A broken promise of the code under test. */
export class Wrong extends Error {
  override readonly name = 'Wrong'
}

/** @throws Wrong with this text when the claim does not hold. */
export function claim(holds: boolean, text: string): asserts holds {
  if (!holds) throw new Wrong(text)
}

/** Calls a function and turns an allowed error into its label. Other errors are rethrown. */
export function labelOf(call: () => string, allowed: (error: unknown) => string | undefined): string {
  try {
    return call()
  } catch (error) {
    const label = allowed(error)
    if (label === undefined) throw error
    return label
  }
}

/** A message without the parts that depend on the input: quoted text, text in brackets, and numbers. */
export function shapeOf(message: string): string {
  return message
    .replaceAll(/".*"|\(.*\)|\[.*\]/gs, '""')
    .replaceAll(/\d+/g, '0')
    .slice(0, 160)
}

// This byte is in no UTF-8 text, so it can separate texts.
const SEPARATOR = 0xff

/** Text fields of one input, with 0xFF between them. */
export function fieldsOf(input: Buffer): string[] {
  return bytesOf(input, Number.POSITIVE_INFINITY).map((field) => field.toString('utf8'))
}

/** The first `count - 1` fields, and all that follows as the last one. */
export function bytesOf(input: Buffer, count: number): Buffer[] {
  const fields: Buffer[] = []
  let start = 0
  while (fields.length < count - 1) {
    const end = input.indexOf(SEPARATOR, start)
    if (end === -1) break
    fields.push(input.subarray(start, end))
    start = end + 1
  }
  fields.push(input.subarray(start))
  return fields
}

/** The opposite of `fieldsOf`. */
export function joined(...fields: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat(
    fields.flatMap((field, index) => [
      Buffer.from(index === 0 ? [] : [SEPARATOR]),
      Buffer.from(field as string),
    ]),
  )
}

/** Tokens of a dictionary: texts, and bytes as lists of numbers. */
export function tokens(...texts: readonly (string | readonly number[])[]): Buffer[] {
  return texts.map((text) => Buffer.from(text as string))
}

/** Splits a text into tokens, by default at spaces. */
export function words(text: string, separator = ' '): Buffer[] {
  return tokens(...text.split(separator))
}
