// Finds the parts of a JSON text by their positions, without creating values, so that bytes can be copied unchanged.
import { JSON_DEPTH_MAX } from './json.ts'

/** A part of a text: from `start` up to, but not including, `end`. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** A member of an object; `start` and `end` are those of its value. */
export interface Member extends Span {
  readonly key: string
}

/** The result of scanning a list. */
export interface List extends Span {
  /** Number of items. */
  readonly count: number
  /** Number of scalars on all levels. The number is wrong if the list contains an object or an empty list. */
  readonly leaves: number
  /** Number of lists around the first scalar or object, at least 1. */
  readonly depth: number
  /** Whether the list contains only scalars and lists that are not empty. */
  readonly isTensor: boolean
}

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const BACKSLASH = 0x5c
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Returns the index of the first byte at or after `from` that is not white space (RFC 8259 §2). */
export function afterSpace(text: Uint8Array, from: number): number {
  let at = from
  for (;;) {
    const byte = text[at]
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return at
    at += 1
  }
}

/**
 * Returns the members of a text that is a single object, in order; undefined if the text is anything else, or if a key
 * contains an escape. Does not check scalars.
 */
export function membersOfText(text: Uint8Array): Member[] | undefined {
  const start = afterSpace(text, 0)
  const object = readMembers(text, start)
  return object !== undefined && afterSpace(text, object.end) === text.length ? object.members : undefined
}

/** Returns the members of the object at `start`, and the index after it; undefined as for `membersOfText`. */
export function readMembers(
  text: Uint8Array,
  start: number,
): { readonly members: Member[]; readonly end: number } | undefined {
  if (text[start] !== OPEN_OBJECT) return undefined
  const members: Member[] = []
  let at = afterSpace(text, start + 1)
  if (text[at] === CLOSE_OBJECT) return { members, end: at + 1 }
  for (;;) {
    const keyEnd = text[at] === QUOTE ? endOfString(text, at + 1) : -1
    if (keyEnd === -1) return undefined
    const key = textOf(text, { start: at + 1, end: keyEnd - 1 })
    at = afterSpace(text, keyEnd)
    if (key.includes('\\') || text[at] !== COLON) return undefined
    const valueStart = afterSpace(text, at + 1)
    const valueEnd = endOfValue(text, valueStart)
    if (valueEnd === -1) return undefined
    members.push({ key, start: valueStart, end: valueEnd })
    at = afterSpace(text, valueEnd)
    if (text[at] === CLOSE_OBJECT) return { members, end: at + 1 }
    if (text[at] !== COMMA) return undefined
    at = afterSpace(text, at + 1)
  }
}

/** Returns the only member with this key; undefined if there is none, or more than one. */
export function onlyMember(members: readonly Member[], key: string): Member | undefined {
  const found = members.filter((member) => member.key === key)
  return found.length === 1 ? found[0] : undefined
}

// Returns the index after the value at `start`; -1 if there is no complete value. Does not check scalars.
function endOfValue(text: Uint8Array, start: number): number {
  const first = text[start]
  if (first === QUOTE) return endOfString(text, start + 1)
  if (first === OPEN_LIST) return readList(text, start)?.end ?? -1
  if (first === OPEN_OBJECT) return walk(text, start)?.end ?? -1
  let at = start
  while (at < text.length && isOfScalar(text[at]!)) at += 1
  return at === start ? -1 : at
}

/** Scans the list at `start`; undefined if it is not complete, or nested too deeply. Does not check scalars. */
export function readList(text: Uint8Array, start: number): List | undefined {
  return text[start] === OPEN_LIST ? walk(text, start) : undefined
}

// The open brackets around the current position. A single array suffices, because `walk` is not recursive.
const open = new Uint8Array(JSON_DEPTH_MAX + 1)

// Walks a list or an object, and counts commas: a list of n items has n - 1 commas, so the number of scalars in nested,
// non-empty lists is one more than the number of commas on all levels.
function walk(text: Uint8Array, start: number): List | undefined {
  let level = 0
  let depth = 0
  let isFirst = true
  let isTensor = true
  let commas = 0
  let outerCommas = 0
  // `isExpecting`: a value must follow, as after a comma. `isFresh`: the list or object may end instead.
  let isExpecting = true
  let isFresh = false
  for (let at = start; at < text.length; at += 1) {
    const byte = text[at]!
    if (byte === COMMA) {
      if (isExpecting) return undefined
      commas += 1
      if (level === 1) outerCommas += 1
      isExpecting = true
      isFresh = false
    } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      if (level === JSON_DEPTH_MAX) return undefined
      if (byte === OPEN_OBJECT) isTensor = isFirst = false
      else if (isFirst) depth += 1
      level += 1
      open[level] = byte
      isExpecting = isFresh = true
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
      // In ASCII, the code of a closing bracket is that of its opening bracket plus two.
      if (open[level] !== byte - 2 || (isExpecting && !isFresh)) return undefined
      const isEmpty = isExpecting
      if (isEmpty) isTensor = isFirst = false
      level -= 1
      isExpecting = isFresh = false
      if (level === 0) {
        const count = isEmpty ? 0 : outerCommas + 1
        return { start, end: at + 1, count, leaves: commas + 1, depth, isTensor }
      }
    } else if (byte === QUOTE) {
      const end = endOfString(text, at + 1)
      if (end === -1) return undefined
      at = end - 1
      isExpecting = isFresh = isFirst = false
    } else if (byte > 0x20) {
      isExpecting = isFresh = isFirst = false
    }
  }
  return undefined
}

/**
 * Divides a scanned list into groups of consecutive items, and returns the span of each group without the commas
 * around it; undefined if the group sizes, which must be at least 1, do not add up to the number of items.
 */
export function cutList(text: Uint8Array, list: List, counts: readonly number[]): Span[] | undefined {
  if (counts.reduce((sum, count) => sum + count, 0) !== list.count) return undefined
  const groups: Span[] = []
  let start = list.start + 1
  let left = counts[0] ?? 0
  let level = 1
  for (let at = start; at < list.end; at += 1) {
    const byte = text[at]!
    if (byte === QUOTE) at = endOfString(text, at + 1) - 1
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) level += 1
    else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) level -= 1
    const isEndOfItem = level === 0 || (level === 1 && byte === COMMA)
    if (!isEndOfItem || --left > 0) continue
    groups.push({ start, end: at })
    start = at + 1
    left = counts[groups.length] ?? 0
  }
  return groups
}

/** Returns the index after the closing quote of the string whose text begins at `from`; -1 if there is no quote. */
function endOfString(text: Uint8Array, from: number): number {
  for (let at = from; at < text.length; at += 1) {
    const byte = text[at]
    if (byte === QUOTE) return at + 1
    if (byte === BACKSLASH) at += 1
  }
  return -1
}

/** Returns a part of the text as a string with one character per byte, for comparisons. */
export function textOf(text: Uint8Array, { start, end }: Span): string {
  let characters = ''
  for (let at = start; at < end; at += 1) characters += String.fromCharCode(text[at]!)
  return characters
}

/** Whether a value is a number, a string, a boolean or null. */
export function isScalar(text: Uint8Array, { start }: Span): boolean {
  return text[start] !== OPEN_LIST && text[start] !== OPEN_OBJECT
}

// The characters of numbers, of literals, and of the tokens NaN and Infinity.
function isOfScalar(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    (byte >= 0x61 && byte <= 0x7a) ||
    byte === 0x2d ||
    byte === 0x2b ||
    byte === 0x2e
  )
}
