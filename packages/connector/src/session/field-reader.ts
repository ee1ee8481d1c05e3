// Reads the MQTT data types (MQTT 5 §1.5). A field that is invalid or extends past the end of its packet makes the
// packet malformed.
import { isUtf8 } from 'node:buffer'
import { MalformedPacket } from './malformed.ts'

/** Returns the end offset of a length-prefixed string or binary field that begins at `offset`. */
export function stringEnd(body: Buffer, offset: number, limit = body.length): number {
  if (offset + 2 > limit) throw new MalformedPacket('A length prefix extends past its field')
  const end = offset + 2 + ((body[offset]! << 8) | body[offset + 1]!)
  if (end > limit) throw new MalformedPacket('A string or binary field extends past its packet')
  return end
}

/**
 * Reads a UTF-8 string (§1.5.4). `offset` is the start of its length prefix; `end` is the end of the string.
 * @throws MalformedPacket for invalid UTF-8 and for U+0000 (MQTT-1.5.4-1, MQTT-1.5.4-2; 3.1.1: MQTT-1.5.3-1, -2).
 */
export function readText(body: Buffer, offset: number, end: number): string {
  const text = body.toString('utf8', offset + 2, end)
  // The decoder replaces invalid bytes with U+FFFD, so a string without U+FFFD needs no second pass over the bytes. The
  // search is cheap for strings with one byte per character.
  if (text.includes('\uFFFD') && !isUtf8(body.subarray(offset + 2, end)))
    throw new MalformedPacket('A string is not UTF-8 (MQTT-1.5.4-1)')
  if (text.includes('\0')) throw new MalformedPacket('A string contains U+0000 (MQTT-1.5.4-2)')
  return text
}

/** Reads a Variable Byte Integer (§1.5.5). @throws MalformedPacket when it is truncated or longer than needed. */
export function readVariableByteInteger(body: Buffer, offset: number, limit = body.length): number {
  let value = 0
  for (let shift = 0; shift < 28; shift += 7) {
    if (offset >= limit) throw new MalformedPacket('A Variable Byte Integer extends past its field')
    const byte = body[offset++]!
    value |= (byte & 0x7f) << shift
    if ((byte & 0x80) === 0) {
      if (byte === 0 && shift > 0)
        throw new MalformedPacket('A Variable Byte Integer is longer than needed (§1.5.5)')
      return value
    }
  }
  throw new MalformedPacket('A Variable Byte Integer has more than four bytes (MQTT 5 §1.5.5)')
}

/** Returns the size of a Variable Byte Integer in bytes (§1.5.5). */
export function sizeOfVariableByteInteger(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4
}
