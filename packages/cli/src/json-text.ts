// Formats JSON text token by token. To parse a value and write it again would lose what a double cannot hold
// (9007199254740993, 1e400), and its spelling (1.0).

// Deeper lists would be mostly spaces.
const DEPTH_MAX = 200
// Spaces, then one sign, or a number or word; a string is only begun.
const TOKEN = /\s*([",:[\]{}]|[^\s",:[\]{}]+)/y

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

/** JSON text on one line. */
export function compactJson(text: string): string {
  return [...tokensOf(text)].join('')
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
