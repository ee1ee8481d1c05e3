// The width of each datatype's values, and the typed array that holds them.
import type { NumberArray } from './file-tensor.ts'

interface Element {
  /** Bytes per value. */
  readonly width: number
  readonly view: (buffer: ArrayBuffer) => NumberArray
}

/** The datatypes with values of a fixed width. FP16 and BF16 stay bit patterns: Node.js 20 has no arrays for them. */
export const ELEMENTS: Readonly<Record<string, Element>> = {
  BOOL: { width: 1, view: (buffer) => new Uint8Array(buffer) },
  UINT8: { width: 1, view: (buffer) => new Uint8Array(buffer) },
  UINT16: { width: 2, view: (buffer) => new Uint16Array(buffer) },
  UINT32: { width: 4, view: (buffer) => new Uint32Array(buffer) },
  UINT64: { width: 8, view: (buffer) => new BigUint64Array(buffer) },
  INT8: { width: 1, view: (buffer) => new Int8Array(buffer) },
  INT16: { width: 2, view: (buffer) => new Int16Array(buffer) },
  INT32: { width: 4, view: (buffer) => new Int32Array(buffer) },
  INT64: { width: 8, view: (buffer) => new BigInt64Array(buffer) },
  FP16: { width: 2, view: (buffer) => new Uint16Array(buffer) },
  BF16: { width: 2, view: (buffer) => new Uint16Array(buffer) },
  FP32: { width: 4, view: (buffer) => new Float32Array(buffer) },
  FP64: { width: 8, view: (buffer) => new Float64Array(buffer) },
}
