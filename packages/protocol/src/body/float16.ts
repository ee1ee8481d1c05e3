// Converts 16-bit floating-point numbers: FP16 (IEEE 754 binary16) and BF16 (the upper half of binary32). ES2023 has no
// typed array for either; their tensors contain bit patterns in a Uint16Array.
import { BodyError } from './body-error.ts'
import type { HalfDatatype } from './datatype.ts'

const scratch = new DataView(new ArrayBuffer(8))

/** Returns the values of FP16 bit patterns. */
export function fromFloat16(bits: ArrayLike<number>): Float32Array {
  return Float32Array.from(bits, (pattern) => {
    const sign = pattern & 0x8000 ? -1 : 1
    const exponent = (pattern >> 10) & 0x1f
    const fraction = pattern & 0x3ff
    if (exponent === 0) return sign * fraction * 2 ** -24
    if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
  })
}

/** Returns the FP16 bit patterns that are nearest to the values; if two patterns are equally near, the even one. */
export function toFloat16(values: ArrayLike<number>): Uint16Array {
  return Uint16Array.from(values, (value) => patternOf(value, FORMATS.FP16))
}

/** Returns the values of BF16 bit patterns. */
export function fromBfloat16(bits: ArrayLike<number>): Float32Array {
  return new Float32Array(Uint32Array.from(bits, (pattern) => (pattern << 16) >>> 0).buffer)
}

/** Returns the BF16 bit patterns that are nearest to the values; of two equally near patterns, the even one. */
export function toBfloat16(values: ArrayLike<number>): Uint16Array {
  return Uint16Array.from(values, (value) => patternOf(value, FORMATS.BF16))
}

/** Returns the values of bit patterns. */
export function fromHalves(datatype: HalfDatatype, bits: ArrayLike<number>): Float32Array {
  return datatype === 'FP16' ? fromFloat16(bits) : fromBfloat16(bits)
}

/**
 * Returns the bit patterns that are nearest to the values of a tensor.
 * @param what describes the tensor in the error message
 * @throws BodyError `invalid_value` for a finite value that would become infinite
 */
export function toHalves(what: string, datatype: HalfDatatype, values: ArrayLike<number>): Uint16Array {
  const format = FORMATS[datatype]
  return Uint16Array.from(values, (value) => {
    if (Math.abs(value) < format.overflow || !Number.isFinite(value)) return patternOf(value, format)
    throw new BodyError('invalid_value', `${what}: ${value} is not a value of ${datatype}`)
  })
}

interface Format {
  readonly fractionBits: number
  /** The exponent of the smallest normal number. */
  readonly exponentMin: number
  /** Halfway between the largest value and the next power of two; from here on, values round to infinity. */
  readonly overflow: number
  readonly infinity: number
  readonly nan: number
}

const FORMATS: Readonly<Record<HalfDatatype, Format>> = {
  FP16: { fractionBits: 10, exponentMin: -14, overflow: 65_520, infinity: 0x7c00, nan: 0x7e00 },
  BF16: {
    fractionBits: 7,
    exponentMin: -126,
    overflow: (2 - 2 ** -8) * 2 ** 127,
    infinity: 0x7f80,
    nan: 0x7fc0,
  },
}

// Rounds once: FP32 as an intermediate step could turn a value into a midpoint.
function patternOf(value: number, { fractionBits, exponentMin, overflow, infinity, nan }: Format): number {
  if (Number.isNaN(value)) return nan
  scratch.setFloat64(0, value)
  const high = scratch.getUint32(0)
  const sign = (high >>> 16) & 0x8000
  const size = Math.abs(value)
  if (size >= overflow) return sign | infinity
  // Below the smallest normal number, values are multiples of the same step.
  const exponent = Math.max(((high >>> 20) & 0x7ff) - 1023, exponentMin)
  const steps = roundHalfToEven(size * 2 ** (fractionBits - exponent))
  // The fraction of a normal number includes its leading 1. If it rounds up, it carries into the exponent.
  return sign | (((exponent - exponentMin) << fractionBits) + steps)
}

function roundHalfToEven(value: number): number {
  const whole = Math.floor(value)
  const rest = value - whole
  return rest > 0.5 || (rest === 0.5 && whole % 2 === 1) ? whole + 1 : whole
}
