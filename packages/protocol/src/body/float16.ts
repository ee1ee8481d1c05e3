// Converts 16-bit floating-point numbers: FP16 (IEEE 754 binary16) and BF16 (the upper half of binary32). ES2023 has no
// typed array for either; their tensors contain bit patterns in a Uint16Array.

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
  return Uint16Array.from(values, (value) => {
    scratch.setFloat64(0, value)
    const high = scratch.getUint32(0)
    const sign = (high >>> 16) & 0x8000
    const size = Math.abs(value)
    if (Number.isNaN(value)) return 0x7e00
    // Halfway between the largest FP16 value and the next power of two; this value and larger ones round to infinity.
    if (size >= 65_520) return sign | 0x7c00
    if (size < 2 ** -14) return sign | roundHalfToEven(size * 2 ** 24)
    const exponent = ((high >>> 20) & 0x7ff) - 1023
    // A fraction that rounds up to 2048 carries into the exponent.
    return sign | (((exponent + 14) << 10) + roundHalfToEven(size * 2 ** (10 - exponent)))
  })
}

/** Returns the values of BF16 bit patterns. */
export function fromBfloat16(bits: ArrayLike<number>): Float32Array {
  return new Float32Array(Uint32Array.from(bits, (pattern) => (pattern << 16) >>> 0).buffer)
}

/** Returns the BF16 bit patterns of values, which are rounded to FP32 first; both steps round half to even. */
export function toBfloat16(values: ArrayLike<number>): Uint16Array {
  return Uint16Array.from(values, (value) => {
    scratch.setFloat32(0, value)
    const single = scratch.getUint32(0)
    if (Number.isNaN(value)) return (single >>> 16) | 0x40
    return (single + 0x7fff + ((single >>> 16) & 1)) >>> 16
  })
}

function roundHalfToEven(value: number): number {
  const whole = Math.floor(value)
  const rest = value - whole
  return rest > 0.5 || (rest === 0.5 && whole % 2 === 1) ? whole + 1 : whole
}
