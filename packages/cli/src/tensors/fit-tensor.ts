// Fits a tensor from a file to the input that a model's card describes: datatype and shape.
import {
  countOf,
  isDatatype,
  isFloat,
  printShape,
  TYPED_ARRAYS,
  type TensorMetadata,
} from '@inferwire/protocol'
import { badFile, type FileTensor, type NumberArray } from './file-tensor.ts'

/**
 * Converts a tensor to the datatype and the shape of an input. A conversion between floating-point types may lose
 * digits, but must not make a finite value infinite. Every other conversion must be exact. @throws CliError
 */
export function fitTensor(tensor: FileTensor, input: TensorMetadata, what: string): FileTensor {
  const shape = fitShape(tensor.shape, input, what)
  const data = tensor.datatype === input.datatype ? tensor.data : cast(tensor, input.datatype, what)
  return { datatype: input.datatype, shape, data }
}

/** Returns the concrete shape of an input for a number of values; at most one dimension may be variable. */
export function concreteShape(input: TensorMetadata, count: number, what: string): number[] {
  const fixed = input.shape.filter((size) => size >= 0)
  const variable = input.shape.length - fixed.length
  const unit = countOf(fixed)
  const size = variable === 1 && unit > 0 ? count / unit : 1
  if (variable > 1 || !Number.isInteger(size) || unit * size !== count) {
    throw badFile(
      `${what} has ${count} values, which do not fill the shape ${printShape(input.shape)} of input "${input.name}"`,
      'Use a .npy file with the right shape: np.save(FILE, array)',
    )
  }
  return input.shape.map((dimension) => (dimension < 0 ? size : dimension))
}

// A file may lack the batch dimension of a single sample, and a file with a flat list may lack all dimensions but one.
function fitShape(shape: readonly number[], input: TensorMetadata, what: string): readonly number[] {
  const isFitting = (candidate: readonly number[]): boolean =>
    candidate.length === input.shape.length &&
    candidate.every((size, axis) => input.shape[axis]! < 0 || input.shape[axis] === size)
  if (isFitting(shape)) return shape
  if (isFitting([1, ...shape])) return [1, ...shape]
  if (shape.length <= 1) return concreteShape(input, countOf(shape), what)
  throw badFile(
    `${what} has the shape ${printShape(shape)}, but input "${input.name}" has ${printShape(input.shape)}`,
    'Change its shape: np.save(FILE, array.reshape(…))',
  )
}

function cast({ datatype, data }: FileTensor, wanted: string, what: string): FileTensor['data'] {
  const refuse = (reason: string): never => {
    throw badFile(
      `${what} has ${datatype} values, but the input needs ${wanted}${reason}`,
      'Convert it in numpy: np.save(FILE, array.astype(…))',
    )
  }
  const isNumber = datatype !== 'BYTES' && datatype !== 'BOOL' && datatype !== 'FP16'
  if (!isNumber || !isDatatype(wanted) || wanted === 'BOOL' || wanted === 'BYTES') return refuse('')
  const values = data as NumberArray | readonly number[]
  if (isFloat(wanted)) {
    const numbers = Array.from(values as Iterable<number | bigint>, Number)
    const isExact = numbers.every((value, index) =>
      isFloat(datatype) ? !overflows(value, wanted) : isExactFloat(value, values[index]!, wanted),
    )
    return isExact ? toFloats(numbers, wanted) : refuse(', which cannot represent all of them')
  }
  if (isFloat(datatype)) return refuse('')
  if (wanted === 'INT64' || wanted === 'UINT64') {
    const exact = Array.from(values as Iterable<number | bigint>, BigInt)
    if (wanted === 'UINT64' && exact.some((value) => value < 0n))
      return refuse(', which cannot represent negative numbers')
    const array = wanted === 'INT64' ? BigInt64Array.from(exact) : BigUint64Array.from(exact)
    return exact.every((value, index) => array[index] === value) ? array : refuse(', which is too small')
  }
  const numbers = Array.from(values as Iterable<number | bigint>, Number)
  const array = TYPED_ARRAYS[wanted].from(numbers)
  return numbers.every((value, index) => array[index] === value) ? array : refuse(', which is too small')
}

function toFloats(numbers: number[], wanted: string): FileTensor['data'] {
  if (wanted === 'FP32') return Float32Array.from(numbers)
  return wanted === 'FP64' ? Float64Array.from(numbers) : numbers
}

// The smallest number that is rounded to infinity: half a step above the largest finite value.
const OVERFLOWS: Readonly<Record<string, number>> = {
  FP16: 65_520,
  BF16: (2 - 2 ** -8) * 2 ** 127,
  FP32: (2 - 2 ** -24) * 2 ** 127,
}

function overflows(value: number, wanted: string): boolean {
  return Number.isFinite(value) && Math.abs(value) >= (OVERFLOWS[wanted] ?? Infinity)
}

// FP16 has 11 significant bits, BF16 has 8.
const EXACT_INTEGERS: Readonly<Record<string, number>> = { FP16: 2_048, BF16: 256 }

function isExactFloat(number: number, value: number | bigint, wanted: string): boolean {
  const max = EXACT_INTEGERS[wanted]
  if (max !== undefined) return Math.abs(number) <= max
  if (wanted === 'FP32') return BigInt(Math.fround(number)) === BigInt(value)
  return BigInt(number) === BigInt(value)
}
