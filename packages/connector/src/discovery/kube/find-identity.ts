// Finds out which object a piece of JSON is about that cannot be parsed as a whole.

/** What is known about the object. */
export interface PartialIdentity {
  readonly namespace?: string
  readonly name?: string
  readonly uid?: string
  readonly resourceVersion?: string
}

const MEMBERS = new Set(['namespace', 'name', 'uid', 'resourceVersion'])

/**
 * Reads the identifying members of the metadata from the beginning of an object. `path` leads to the metadata, for
 * example `['object', 'metadata']` in a line of a watch. Takes linear time.
 */
export function findIdentity(text: string, path: readonly string[]): PartialIdentity {
  const found: { -readonly [Member in keyof PartialIdentity]: string } = {}
  // The current key of each open map; undefined for a list.
  const keys: (string | undefined)[] = []
  let last: string | undefined
  let isValue = false
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at]!
    const isInMetadata = keys.length === path.length + 1 && path.every((key, index) => keys[index] === key)
    if (character === '"') {
      const end = endOfText(text, at)
      last = parseText(text.slice(at, end))
      at = end - 1
      const key = keys.at(-1)
      if (isValue && isInMetadata && key !== undefined && MEMBERS.has(key) && last !== undefined) {
        found[key as keyof PartialIdentity] = last
      }
      isValue = false
    } else if (character === '{' || character === '[') {
      keys.push(character === '{' ? '' : undefined)
      isValue = false
    } else if (character === '}' || character === ']') {
      if (isInMetadata) break
      keys.pop()
    } else if (character === ':') {
      if (keys.at(-1) !== undefined) keys[keys.length - 1] = last
      isValue = true
    } else if (character === ',') isValue = false
  }
  return found
}

// Returns the offset after the closing quotation mark, or the end of the text.
function endOfText(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1
    else if (text[at] === '"') return at + 1
  }
  return text.length
}

// Identifying texts are short.
const TEXT_LENGTH_MAX = 1_600

function parseText(token: string): string | undefined {
  if (token.length > TEXT_LENGTH_MAX) return undefined
  try {
    return JSON.parse(token) as string
  } catch {
    return undefined
  }
}
