// The type of a fuzz target, and functions to report violated guarantees and to write inputs.
import type { Random } from '../fixtures/random.ts'

/** Code that handles untrusted bytes. */
export interface FuzzTarget {
  /** Name of the target, and of its folder below `corpus/`. */
  readonly name: string
  /** Generated inputs that get past the first checks; the corpus folder contains further inputs. */
  readonly seedInputs: readonly Buffer[]
  /** Tokens that mutations insert. */
  readonly dictionary: readonly Buffer[]
  /** Maximum length of an input in bytes. @default 4096 */
  readonly inputBytesMax?: number
  /** A format-aware mutation, applied instead of the generic mutations, or after them. */
  readonly mutate?: (input: Buffer, random: Random) => Buffer
  /**
   * Runs the code under test with the input and checks the result.
   * @returns a label for the behaviour; an input with a new label is kept and mutated further.
   * @throws Wrong if the code violates a guarantee; any other error is a finding too.
   */
  run(input: Buffer): string | Promise<string>
}

/** The code under test has violated a guarantee. */
export class Wrong extends Error {
  override readonly name = 'Wrong'
}

/** Checks a claim. @throws Wrong with this text if the claim does not hold */
export function claim(holds: boolean, text: string): asserts holds {
  if (!holds) throw new Wrong(text)
}

/**
 * Returns the label that `call` returns. If `call` throws an allowed error, returns the label of that error.
 * Rethrows all other errors.
 */
export function labelOf(call: () => string, allowed: (error: unknown) => string | undefined): string {
  try {
    return call()
  } catch (error) {
    const label = allowed(error)
    if (label === undefined) throw error
    return label
  }
}

/** Returns a message without the parts that depend on the input: quoted text, text in brackets, and numbers. */
export function shapeOf(message: string): string {
  return message
    .replaceAll(/".*"|\(.*\)|\[.*\]/gs, '""')
    .replaceAll(/\d+/g, '0')
    .slice(0, 160)
}

// UTF-8 text never contains this byte, so it can separate fields.
const SEPARATOR = 0xff

/** Returns the text fields of an input; they are separated by 0xFF. */
export function fieldsOf(input: Buffer): string[] {
  return bytesOf(input, Number.POSITIVE_INFINITY).map((field) => field.toString('utf8'))
}

/** Returns the first `count - 1` fields, and the remaining bytes as the last field. */
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

/** Returns an input with these fields. */
export function joined(...fields: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat(
    fields.flatMap((field, index) => [
      Buffer.from(index === 0 ? [] : [SEPARATOR]),
      Buffer.from(field as string),
    ]),
  )
}

/** Returns tokens for a dictionary, from strings and from lists of byte values. */
export function tokens(...texts: readonly (string | readonly number[])[]): Buffer[] {
  return texts.map((text) => Buffer.from(text as string))
}

/** Splits a string into tokens, by default at spaces. */
export function words(text: string, separator = ' '): Buffer[] {
  return tokens(...text.split(separator))
}
