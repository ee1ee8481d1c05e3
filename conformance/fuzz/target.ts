// What a fuzzer's target is, and how it says that something is wrong.
import type { Random } from '../fixtures/random.ts'

/** One thing that takes bytes from others. */
export interface FuzzTarget {
  /** Also the name of its folder below `corpus/`. */
  readonly name: string
  /** Inputs that reach deep, made by code; the corpus folder has those worth remembering. */
  readonly seedInputs: readonly Buffer[]
  /** Tokens that mutations put in. */
  readonly dictionary: readonly Buffer[]
  /** Longest input in bytes. @default 4096 */
  readonly inputBytesMax?: number
  /** A change that knows the format, made in place of, or after, the usual ones. */
  readonly mutate?: (input: Buffer, random: Random) => Buffer
  /**
   * Gives the input to the code under test and judges what comes out.
   * @returns a label of what happened; an input with a new label is kept and mutated further.
   * @throws Wrong where a promise of the code is broken; whatever else is thrown is a finding as well.
   */
  run(input: Buffer): string | Promise<string>
}

/** A promise that the code under test did not keep. */
export class Wrong extends Error {
  override readonly name = 'Wrong'
}

/** @throws Wrong with this text when the claim does not hold. */
export function claim(holds: boolean, text: string): asserts holds {
  if (!holds) throw new Wrong(text)
}

/** Calls, and turns an allowed error into its label. What is not allowed goes through. */
export function labelOf(call: () => string, allowed: (error: unknown) => string | undefined): string {
  try {
    return call()
  } catch (error) {
    const label = allowed(error)
    if (label === undefined) throw error
    return label
  }
}

/** A message without what differs from input to input: what is in quotes and brackets, and numbers. */
export function shapeOf(message: string): string {
  return message
    .replaceAll(/".*"|\(.*\)|\[.*\]/gs, '""')
    .replaceAll(/\d+/g, '0')
    .slice(0, 160)
}

// No UTF-8 text has this byte, so it can stand between texts.
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

/** Tokens out of one text, with a space or something else between them. */
export function words(text: string, separator = ' '): Buffer[] {
  return tokens(...text.split(separator))
}
