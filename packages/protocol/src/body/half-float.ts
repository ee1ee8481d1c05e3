// Converts between numbers and the 16-bit floating-point formats FP16 (IEEE 754 binary16) and BF16.

const single = new Float32Array(1)
const singleBits = new Uint32Array(single.buffer)

/** Rounds to the nearest binary16 value, ties to even; a larger number becomes infinity. Returns the 16 bits. */
export function toHalf(value: number): number {
  // 65520 is halfway between the largest finite value and the next one.
  if (Math.abs(value) >= 65520) return signOf(value) | 0x7c00
  return Number.isNaN(value) ? 0x7e00 : rounded(value, 10, -14)
}

/** Returns the number that 16 bits of binary16 represent. */
export function fromHalf(half: number): number {
  const sign = (half & 0x8000) === 0 ? 1 : -1
  const exponent = (half >>> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** Rounds to the nearest BF16 value, ties to even; a larger number becomes infinity. Returns the 16 bits. */
export function toBfloat(value: number): number {
  if (Math.abs(value) >= (2 - 2 ** -8) * 2 ** 127) return signOf(value) | 0x7f80
  return Number.isNaN(value) ? 0x7fc0 : rounded(value, 7, -126)
}

/** Returns the number that 16 bits of BF16 represent. */
export function fromBfloat(bfloat: number): number {
  singleBits[0] = bfloat << 16
  return single[0]!
}

function rounded(value: number, fractionBits: number, exponentMin: number): number {
  const magnitude = Math.abs(value)
  single[0] = magnitude
  // Below the smallest exponent, values are subnormal: multiples of the same step.
  const exponent = Math.max((singleBits[0]! >>> 23) - 127, exponentMin)
  const steps = nearestEven(magnitude / 2 ** (exponent - fractionBits))
  return signOf(value) | (((exponent - exponentMin) << fractionBits) + steps)
}

function signOf(value: number): number {
  return value < 0 || Object.is(value, -0) ? 0x8000 : 0
}

function nearestEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor
}
