// Formats JSON text without converting its values, which would change numbers that a double cannot represent
// (9007199254740993, 1e400) and notations such as 1.0.

// Beyond this depth, indented text would be mostly spaces.
const DEPTH_MAX = 200
// Matches white space, then one punctuation mark, a number or a word, but only the opening quote of a string.
const TOKEN = /\s*([",:[\]{}]|[^\s",:[\]{}]+)/y
const STRING_OR_SPACE = /"|[ \t\n\r]+/g
// Also matches types with the suffix +json (RFC 6839 §3.1).
const JSON_TYPE = /^[^;]*[/+]json\s*(?:;|$)/i

/** Returns whether a content type denotes JSON. */
export function isJsonType(contentType: string): boolean {
  return JSON_TYPE.test(contentType)
}

/** Decodes JSON text and removes a byte order mark; returns undefined for bytes that are not JSON in UTF-8. */
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

/** Removes the white space between the tokens of JSON text. Returns text without any white space unchanged. */
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

/** Indents JSON text like JSON.stringify(value, null, 2); very deeply nested text is put on one line instead. */
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

// A regular expression would overflow the stack on millions of escapes.
function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let backslash = quote
    while (text[backslash - 1] === '\\') backslash--
    if ((quote - backslash) % 2 === 0) return quote + 1
  }
  return text.length
}
