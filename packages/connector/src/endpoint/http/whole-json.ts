// Whether a body is one whole JSON text. Nothing is parsed: what is inside a list or an object goes to the requester as
// it came, NaN of Python's writer included.

const OPEN_OBJECT = 0x7b
const OPEN_LIST = 0x5b
const QUOTE = 0x22
const BACKSLASH = 0x5c
const CLOSE_OBJECT = 0x7d
const CLOSE_LIST = 0x5d
const COMMA = 0x2c
// In ASCII, the bracket that closes is two behind the one that opens.
const TO_CLOSE = 2
// RFC 8259 §3, and the words that Python's writer has for what JSON has no number for.
const SCALAR = /^(?:null|true|false|NaN|-?Infinity|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/
// The longest of them that is read; no model computes a longer number.
const SCALAR_BYTES_MAX = 1024
// A short walk costs less than the calls of the searches.
const WALKED_BYTES = 256
// Brackets that are looked at one by one.
const BRACKETS_MAX = 64
const JOINTS = ['}{', '}\n{', '][', ']\n['].map((joint) => Buffer.from(joint))

/** RFC 8259 §2: a JSON text is one value of any kind, with space around it. §8.1: a byte order mark may be ignored. */
export function isWholeJson(body: Buffer): boolean {
  const start = afterSpace(body, hasByteOrderMark(body) ? 3 : 0)
  let end = body.length
  while (end > start && isSpace(body[end - 1])) end -= 1
  const first = body[start]
  if (first === OPEN_OBJECT || first === OPEN_LIST) {
    if (body[end - 1] !== first + TO_CLOSE) return false
    const isLarge = end - start > WALKED_BYTES
    return (isLarge && looksLikeOne(body, first, end)) || endOfBrackets(body, start) === end
  }
  if (first === QUOTE) return endOfString(body, start) === end
  return end - start <= SCALAR_BYTES_MAX && SCALAR.test(body.toString('latin1', start, end))
}

// A search in native code that spares most bodies the walk over their bytes, which would double the cost of a large
// answer. In one text, as many brackets open as close, and one that closes is followed by a comma, by another one, or by
// nothing. Brackets in strings may break both rules; then the walk decides. Behind the first brackets of many, only the
// joints are looked for that servers make: two texts without a space, or on two lines.
function looksLikeOne(body: Buffer, open: number, end: number): boolean {
  const close = open + TO_CLOSE
  let closed = 0
  for (let next = 0; next < end; closed += 1) {
    if (closed === BRACKETS_MAX) return !JOINTS.some((joint) => body.includes(joint, next))
    next = afterSpace(body, body.indexOf(close, next) + 1)
    const byte = body[next]
    const isInside = byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_LIST
    if (next < end && !isInside) return false
  }
  for (let at = body.indexOf(open); at !== -1 && closed >= 0; closed -= 1) at = body.indexOf(open, at + 1)
  return closed === 0
}

// The index after the bracket that closes the one at `start`; -1 where none does.
function endOfBrackets(body: Buffer, start: number): number {
  let depth = 0
  for (let at = start; at < body.length; at += 1) {
    const byte = body[at]!
    if (byte === QUOTE) {
      at = endOfString(body, at) - 1
      if (at < start) return -1
    } else if (byte >= OPEN_LIST) {
      // Braces are brackets with one bit more.
      const brace = byte | 0x20
      if (brace === OPEN_OBJECT) depth += 1
      else if (brace === CLOSE_OBJECT && --depth === 0) return at + 1
    }
  }
  return -1
}

// The index after the quote that closes the string at `start`; -1 where none does.
function endOfString(body: Buffer, start: number): number {
  for (let at = start + 1; at < body.length; at += 1) {
    const byte = body[at]
    if (byte === QUOTE) return at + 1
    if (byte === BACKSLASH) at += 1
  }
  return -1
}

function hasByteOrderMark(body: Buffer): boolean {
  return body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf
}

function afterSpace(body: Buffer, from: number): number {
  let at = from
  while (isSpace(body[at])) at += 1
  return at
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}
