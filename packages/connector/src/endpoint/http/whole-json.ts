// Checks whether a body is one complete JSON text, without parsing it. The content of arrays and objects is not
// checked, and may include the NaN that Python's encoder writes.
import { endOfString, isSpace, startOfText } from './json-bytes.ts'

const OPEN_OBJECT = 0x7b
const OPEN_LIST = 0x5b
const QUOTE = 0x22
const CLOSE_OBJECT = 0x7d
// In ASCII, the code of `]` is the code of `[` plus two, and the code of `}` is the code of `{` plus two.
const TO_CLOSE = 2
// The scalars of RFC 8259 §3, and NaN and Infinity as Python's encoder writes them.
const SCALAR = /^(?:null|true|false|NaN|-?Infinity|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/
// Longer scalars are rejected; no model computes such a number.
const SCALAR_BYTES_MAX = 1024
/** In longer arrays and objects only the two ends are checked, because a full scan costs too much (decision 0008). */
export const SCANNED_BYTES_MAX = 64 * 1024

/** Returns true for one JSON value of any kind, with optional white space around it (RFC 8259 §2). */
export function isWholeJson(body: Buffer): boolean {
  const start = startOfText(body)
  let end = body.length
  while (end > start && isSpace(body[end - 1])) end -= 1
  const first = body[start]
  if (first === OPEN_OBJECT || first === OPEN_LIST) {
    if (body[end - 1] !== first + TO_CLOSE) return false
    return end - start > SCANNED_BYTES_MAX || endOfBrackets(body, start) === end
  }
  if (first === QUOTE) return endOfString(body, start + 1) === end
  return end - start <= SCALAR_BYTES_MAX && SCALAR.test(body.toString('latin1', start, end))
}

// Returns the index after the bracket that closes the array or object at `start`; -1 if there is none. Checks every
// byte, because a search that skips bytes accepts some incomplete texts.
function endOfBrackets(body: Buffer, start: number): number {
  let depth = 0
  for (let at = start; at < body.length; at += 1) {
    const byte = body[at]!
    if (byte === QUOTE) {
      at = endOfString(body, at + 1) - 1
      if (at < start) return -1
    } else if (byte >= OPEN_LIST) {
      // Setting this bit turns a square bracket into the corresponding brace.
      const brace = byte | 0x20
      if (brace === OPEN_OBJECT) depth += 1
      else if (brace === CLOSE_OBJECT && --depth === 0) return at + 1
    }
  }
  return -1
}
