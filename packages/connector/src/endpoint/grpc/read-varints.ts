// The encoding of integers in protobuf messages: varints.

/**
 * Decodes packed varints (Protocol Buffers, "Base 128 Varints").
 * @returns the low and the high half of each integer, one after the other
 * @throws Error if the last varint is truncated, or one has more than 10 bytes
 */
export function readVarints(packed: Uint8Array): Int32Array {
  let count = 0
  for (let at = 0; at < packed.length; at++) if (packed[at]! < 0x80) count += 1
  if (packed.length > 0 && packed.at(-1)! >= 0x80) throw new Error('a varint is truncated')
  const halves = new Int32Array(2 * count)
  let at = 0
  for (let index = 0; index < halves.length; index += 2) {
    let low = 0
    let high = 0
    for (let shift = 0; ; shift += 7) {
      if (shift > 63) throw new Error('a varint has more than 10 bytes')
      const byte = packed[at++]!
      const bits = byte & 0x7f
      if (shift <= 28) low |= bits << shift
      if (shift === 28) high |= bits >>> 4
      else if (shift > 28) high |= bits << (shift - 32)
      if (byte < 0x80) break
    }
    halves[index] = low
    halves[index + 1] = high
  }
  return halves
}
