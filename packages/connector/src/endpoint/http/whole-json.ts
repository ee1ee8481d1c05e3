// Whether a body is one whole JSON text. Nothing is parsed: the content of a list or an object goes to the requester as
// it came, NaN of Python's writer included.
import { endOfString, isSpace, startOfText } from './json-bytes.ts'

const OPEN_OBJECT = 0x7b
const OPEN_LIST = 0x5b
const QUOTE = 0x22
const CLOSE_OBJECT = 0x7d
// In ASCII, the bracket that closes is two behind the one that opens.
const TO_CLOSE = 2
// RFC 8259 §3, and the words that Python's writer has for what JSON has no number for.
const SCALAR = /^(?:null|true|false|NaN|-?Infinity|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/
// The longest of them that is read; no model computes a longer number.
const SCALAR_BYTES_MAX = 1024
/** Of longer lists and objects only the ends are looked at: the walk costs as much as all the rest (decision 0008). */
export const WALKED_BYTES_MAX = 64 * 1024

/** RFC 8259 §2: a JSON text is one value of any kind, with space around it. */
export function isWholeJson(body: Buffer): boolean {
  const start = startOfText(body)
  let end = body.length
  while (end > start && isSpace(body[end - 1])) end -= 1
  const first = body[start]
  if (first === OPEN_OBJECT || first === OPEN_LIST) {
    if (body[end - 1] !== first + TO_CLOSE) return false
    return end - start > WALKED_BYTES_MAX || endOfBrackets(body, start) === end
  }
  if (first === QUOTE) return endOfString(body, start + 1) === end
  return end - start <= SCALAR_BYTES_MAX && SCALAR.test(body.toString('latin1', start, end))
}

// The index after the bracket that closes the one at `start`; -1 where none does. Looks at every byte: any
// search that skips bytes takes some broken text for a whole one.
function endOfBrackets(body: Buffer, start: number): number {
  let depth = 0
  for (let at = start; at < body.length; at += 1) {
    const byte = body[at]!
    if (byte === QUOTE) {
      at = endOfString(body, at + 1) - 1
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
