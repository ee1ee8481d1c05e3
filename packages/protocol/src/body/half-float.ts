// Converts between numbers and the 16-bit floating-point formats FP16 (IEEE 754 binary16) and BF16.

const single = new Float32Array(1)
const bits = new Uint32Array(single.buffer)

/** Rounds to the nearest binary16 value, ties to even; a larger number becomes infinity. Returns the 16 bits. */
export function toHalf(value: number): number {
  single[0] = value
  const from = bits[0]!
  const sign = (from >>> 16) & 0x8000
  const magnitude = from & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  // 2^16 - 2^4 is halfway between the largest finite value and the next one.
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  // Below 2^-14, binary16 has subnormal values: multiples of 2^-24. Rounding `value` twice would be wrong.
  if (magnitude < 0x38800000) return sign | nearestEven(Math.abs(value) * 2 ** 24)
  // 112 is the difference between the biases of the exponents.
  const exact = ((magnitude - (112 << 23)) >>> 13) & 0x7fff
  const rest = magnitude & 0x1fff
  const isUp = rest > 0x1000 || (rest === 0x1000 && (exact & 1) === 1)
  return sign | (exact + Number(isUp))
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

/** Rounds to the nearest BF16 value, ties to even. Returns the 16 bits. */
export function toBfloat(value: number): number {
  single[0] = value
  const from = bits[0]!
  if ((from & 0x7fffffff) > 0x7f800000) return ((from >>> 16) & 0x8000) | 0x7fc0
  return ((from + 0x7fff + ((from >>> 16) & 1)) >>> 16) & 0xffff
}

/** Returns the number that 16 bits of BF16 represent. */
export function fromBfloat(bfloat: number): number {
  bits[0] = bfloat << 16
  return single[0]!
}

function nearestEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  return rest > 0.5 || (rest === 0.5 && (floor & 1) === 1) ? floor + 1 : floor
}
