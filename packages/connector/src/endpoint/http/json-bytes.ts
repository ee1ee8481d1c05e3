// Finds positions in the bytes of a JSON text without parsing it.

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** Returns true for JSON white space (RFC 8259 §2). */
export function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

/** Returns the index after an optional byte order mark, which parsers may ignore (RFC 8259 §8.1), and white space. */
export function startOfText(body: Uint8Array): number {
  const isMarked = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf
  return afterSpace(body, isMarked ? 3 : 0)
}

/** Returns the index of the first byte at or after `from` that is not white space. */
export function afterSpace(body: Uint8Array, from: number): number {
  let at = from
  while (isSpace(body[at])) at += 1
  return at
}

/** Returns the index after the closing quote of the string whose text begins at `from`; -1 if there is no quote. */
export function endOfString(body: Uint8Array, from: number): number {
  for (let at = from; at < body.length; at += 1) {
    const byte = body[at]
    if (byte === QUOTE) return at + 1
    if (byte === BACKSLASH) at += 1
  }
  return -1
}
