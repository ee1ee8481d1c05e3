// Reads the bytes of a JSON text without parsing it.

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** RFC 8259 §2: white space. */
export function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

/** Where the text begins: behind white space, and behind a byte order mark, which RFC 8259 §8.1 lets a parser ignore. */
export function startOfText(body: Uint8Array): number {
  const isMarked = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf
  return afterSpace(body, isMarked ? 3 : 0)
}

/** The first index at or after `from` that is not white space. */
export function afterSpace(body: Uint8Array, from: number): number {
  let at = from
  while (isSpace(body[at])) at += 1
  return at
}

/** The index after the quote that ends the string whose text begins at `from`; -1 where none does. */
export function endOfString(body: Uint8Array, from: number): number {
  for (let at = from; at < body.length; at += 1) {
    const byte = body[at]
    if (byte === QUOTE) return at + 1
    if (byte === BACKSLASH) at += 1
  }
  return -1
}
