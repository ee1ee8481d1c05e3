// The values of a tensor that was read from a file, and the error for a file that cannot be used.
import type { TensorData } from '@inferwire/protocol'
import { CliError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'

/** A typed array of numbers. */
export type NumberArray = Exclude<TensorData, string[]>

/** A tensor from a file. FP16 values are bit patterns in a Uint16Array, or plain numbers. */
export interface FileTensor {
  /** A datatype of the Open Inference Protocol. */
  readonly datatype: string
  readonly shape: readonly number[]
  readonly data: NumberArray | readonly number[] | readonly string[] | readonly Uint8Array[]
}

/** Creates an error about the content of an input file. */
export function badFile(message: string, remedy: string): CliError {
  return new CliError(EXIT.badInput, message, remedy)
}
