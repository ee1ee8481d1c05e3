// 64-bit integers of protobuf messages, as two halves of 32 bits.

/** A 64-bit integer: a `Long` when decoded by protobufjs; any object with both halves can be encoded. */
export interface WireInteger {
  readonly low: number
  readonly high: number
  readonly unsigned?: boolean
}

/** Returns the halves of an integer. */
export function toWireInteger(value: bigint): WireInteger {
  return { low: Number(BigInt.asIntN(32, value)), high: Number(BigInt.asIntN(32, value >> 32n)) }
}

/** Returns a decoded integer. */
export function fromWireInteger({ low, high, unsigned = false }: WireInteger): bigint {
  const value = (BigInt(high) << 32n) | BigInt(low >>> 0)
  return unsigned ? BigInt.asUintN(64, value) : value
}

/** Returns one dimension of a shape; -1 = variable. */
export function fromWireSize(size: number | WireInteger): number {
  return typeof size === 'number' ? size : size.high * 2 ** 32 + (size.low >>> 0)
}
