// The data types of MQTT (MQTT 5 §1.5) as they are read from a packet: past its end or not well-formed is malformed.
import { isUtf8 } from 'node:buffer'
import { MalformedPacket } from './malformed.ts'

/** Where a length-prefixed string or binary that begins at `offset` ends. */
export function stringEnd(body: Buffer, offset: number, limit = body.length): number {
  if (offset + 2 > limit) throw new MalformedPacket('A length prefix runs past its field')
  const end = offset + 2 + ((body[offset]! << 8) | body[offset + 1]!)
  if (end > limit) throw new MalformedPacket('A string or binary field runs past its packet')
  return end
}

/**
 * The UTF-8 string between its length prefix at `offset` and `end` (§1.5.4).
 * @throws MalformedPacket for what is no UTF-8 and for U+0000 (MQTT-1.5.4-1, MQTT-1.5.4-2; 3.1.1: MQTT-1.5.3-1, -2).
 */
export function readText(body: Buffer, offset: number, end: number): string {
  const text = body.toString('utf8', offset + 2, end)
  // Only bytes that were repaired, or the character itself, give U+FFFD: well-formed text costs no second look at the
  // bytes. That search ends at once for text of one byte per character.
  if (text.includes('\uFFFD') && !isUtf8(body.subarray(offset + 2, end)))
    throw new MalformedPacket('A string is not UTF-8 (MQTT-1.5.4-1)')
  if (text.includes('\0')) throw new MalformedPacket('A string holds U+0000 (MQTT-1.5.4-2)')
  return text
}

/** §1.5.5 */
export function readVariableByteInteger(body: Buffer, offset: number, limit = body.length): number {
  let value = 0
  for (let shift = 0; shift < 28; shift += 7) {
    if (offset >= limit) throw new MalformedPacket('A Variable Byte Integer runs past its field')
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

/** Bytes of a Variable Byte Integer (§1.5.5). */
export function sizeOfVariableByteInteger(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4
}
