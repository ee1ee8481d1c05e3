// Finds the token counts in a whole answer, without parsing an answer that may contain megabytes of embeddings.
import type { TokenUsage } from '../../step.ts'
import { afterSpace, endOfString } from './json-bytes.ts'
import { readUsage } from './stream-events.ts'

const NAME = '"usage"'
const COLON = 0x3a
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const QUOTE = 0x22
const BACKSLASH = 0x5c
// Longer objects are not token counts.
const USAGE_BYTES_MAX = 4_096
// Limits the time spent on an answer with many members named `usage`.
const TRIES_MAX = 16

/**
 * Returns the token counts of an OpenAI-compatible answer; undefined if it has none. The last member `usage` with
 * valid counts is used. The name cannot occur inside a string, where its quotes would be escaped.
 */
export function findUsage(body: Uint8Array): TokenUsage | undefined {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length)
  let at = bytes.length
  for (let tries = 0; tries < TRIES_MAX && at > 0; tries += 1) {
    at = bytes.lastIndexOf(NAME, at - 1)
    if (at === -1) return undefined
    const colon = afterSpace(bytes, at + NAME.length)
    if (bytes[colon] !== COLON || bytes[at - 1] === BACKSLASH) continue
    const start = afterSpace(bytes, colon + 1)
    const end = endOfObject(bytes, start)
    const usage = end === -1 ? undefined : readUsage(parsed(bytes.toString('utf8', start, end)))
    if (usage !== undefined) return usage
  }
  return undefined
}

// Returns the index after the object that begins at `start`; -1 if no object begins there, or if it is too long.
function endOfObject(body: Buffer, start: number): number {
  if (body[start] !== OPEN_OBJECT) return -1
  let depth = 0
  const limit = Math.min(body.length, start + USAGE_BYTES_MAX)
  for (let at = start; at < limit; at += 1) {
    const byte = body[at]
    if (byte === QUOTE) {
      at = endOfString(body, at + 1) - 1
      if (at < start) return -1
    } else if (byte === OPEN_OBJECT) depth += 1
    else if (byte === CLOSE_OBJECT && --depth === 0) return at + 1
  }
  return -1
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
