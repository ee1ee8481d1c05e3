// Formats JSON text without parsing it. To parse a value and write it again would lose what a double cannot hold
// (9007199254740993, 1e400), and its spelling (1.0).

// Deeper lists would be mostly spaces.
const DEPTH_MAX = 200
// Spaces, then one sign, or a number or word; a string is only begun.
const TOKEN = /\s*([",:[\]{}]|[^\s",:[\]{}]+)/y
const STRING_OR_SPACE = /"|[ \t\n\r]+/g
// RFC 6839 §3.1: the suffix +json as well.
const JSON_TYPE = /^[^;]*[/+]json\s*(?:;|$)/i

/** Whether a Content Type is that of JSON. */
export function isJsonType(contentType: string): boolean {
  return JSON_TYPE.test(contentType)
}

/** Bytes as JSON text without a byte order mark; undefined when they are not JSON in UTF-8. */
export function jsonText(bytes: Uint8Array): string | undefined {
  try {
    // RFC 8259 §8.1: a parser may ignore a byte order mark.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    JSON.parse(text)
    return text
  } catch {
    return undefined
  }
}

/** JSON text on one line. Text that has no white space between its tokens is returned as it is. */
export function compactJson(text: string): string {
  const pieces: string[] = []
  let from = 0
  for (let at = 0; ;) {
    STRING_OR_SPACE.lastIndex = at
    const found = STRING_OR_SPACE.exec(text)
    if (found === null) break
    at = STRING_OR_SPACE.lastIndex
    if (found[0] === '"') at = endOfString(text, at)
    else {
      pieces.push(text.slice(from, found.index))
      from = at
    }
  }
  return from === 0 ? text : pieces.join('') + text.slice(from)
}

/** JSON text as JSON.stringify(value, null, 2) would lay it out; what is nested very deep stays on one line. */
export function indentJson(text: string): string {
  const parts: string[] = []
  let depth = 0
  let previous = ''
  for (const token of tokensOf(text)) {
    const isEnd = token === ']' || token === '}'
    if (isEnd) depth--
    const isEmpty = isEnd && (previous === '[' || previous === '{')
    const isFirst = previous === '[' || previous === '{' || previous === ','
    if ((isFirst || isEnd) && !isEmpty) parts.push('\n', ' '.repeat(2 * depth))
    parts.push(token === ':' ? ': ' : token)
    if (token === '[' || token === '{') depth++
    if (depth > DEPTH_MAX) return compactJson(text)
    previous = token
  }
  return parts.join('')
}

function* tokensOf(text: string): Generator<string> {
  for (let at = 0; ;) {
    TOKEN.lastIndex = at
    const token = TOKEN.exec(text)?.[1]
    if (token === undefined) return
    at = TOKEN.lastIndex
    if (token === '"') {
      const end = endOfString(text, at)
      yield text.slice(at - 1, end)
      at = end
    } else yield token
  }
}

// Not by a regular expression: it overflows the stack over millions of escapes.
function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let backslash = quote
    while (text[backslash - 1] === '\\') backslash--
    if ((quote - backslash) % 2 === 0) return quote + 1
  }
  return text.length
}
