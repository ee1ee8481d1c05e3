// Interprets the events of a stream: errors, the reason for which generation ended, and token counts.
import { findMembers } from '@inferwire/protocol'
import type { TokenUsage } from '../../step.ts'
import { isErrorIn200 } from './error-in-200.ts'
import type { Chunk } from './join-chunks.ts'
import { isWholeJson } from './whole-json.ts'

/** The status of an error that contains no status: a server error. */
const SERVER_ERROR = 500

/** Parses an event as a JSON object; undefined if it is not one. */
export function parseChunk(data: Buffer): Chunk | undefined {
  return parseObject(data.toString())
}

/**
 * Like `parseChunk`, with null for the numbers that Python's encoder writes although JSON does not have them, such as a
 * log probability of -Infinity. Texts in the result may differ from those of the event.
 */
export function parsePythonChunk(data: Buffer): Chunk | undefined {
  return parseObject(data.toString().replaceAll(/\bNaN\b|-?\bInfinity\b/g, 'null'))
}

function parseObject(text: string): Chunk | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Returns how many choices a request asks for (`n`); 1 if it has no valid `n`. */
export function choicesWanted(request: Buffer): number {
  try {
    const place = findMembers(request, ['n']).members.findLast(({ name }) => name === 'n')
    const count = place === undefined ? 1 : Number(request.toString('latin1', place.start, place.end))
    return Number.isSafeInteger(count) && count > 0 ? count : 1
  } catch {
    return 1
  }
}

/** Returns whether an unparsed event can be a part, that is, whether it is complete JSON. */
export function isJsonEvent(data: Buffer): boolean {
  return isWholeJson(data)
}

/**
 * Returns the status of an event that is an error; undefined for any other event. An OpenAI-compatible server sends
 * `{"error":{"message","type","code"}}` or `{"error":"…"}`, or names the event `error`; `code` may be an HTTP status, as
 * a number or as text. Older vLLM versions send `{"object":"error","message","code"}`.
 */
export function errorStatusOf(name: string, chunk: Chunk): number | undefined {
  const { error } = chunk
  if (isRecord(error)) return statusOf(error)
  if (typeof error === 'string' && error !== '') return statusOf(chunk)
  return name === 'error' || chunk['object'] === 'error' ? statusOf(chunk) : undefined
}

/** Like `errorStatusOf`, but for unparsed events: detects only Triton's `{"error":"…"}`, and events named `error`. */
export function errorStatusOfBytes(name: string, data: Buffer): number | undefined {
  return name === 'error' || isErrorIn200(data) ? SERVER_ERROR : undefined
}

function statusOf({ code, status }: Chunk): number {
  for (const value of [code, status]) {
    const number = typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value
    if (typeof number === 'number' && Number.isInteger(number) && number >= 400 && number <= 599)
      return number
  }
  return SERVER_ERROR
}

/** Tracks whether every choice of a stream has ended with a `finish_reason`. */
export class ChoiceEnds {
  readonly #open = new Set<number>()
  readonly #ended = new Set<number>()

  /** Whether at least `wanted` choices have ended, and none is incomplete. */
  areComplete(wanted: number): boolean {
    return this.#ended.size >= wanted && this.#open.size === 0
  }

  read({ choices }: Chunk): void {
    if (!Array.isArray(choices)) return
    for (const choice of choices as unknown[]) {
      if (!isRecord(choice)) continue
      const index = typeof choice['index'] === 'number' ? choice['index'] : 0
      if ((choice['finish_reason'] ?? null) === null) {
        add(this.#open, index)
      } else {
        this.#open.delete(index)
        add(this.#ended, index)
      }
    }
  }
}

// Only an attack would request more choices.
const CHOICES_MAX = 65_536

// Limits the number of indexes, because the server chooses them.
function add(indexes: Set<number>, index: number): void {
  if (indexes.size < CHOICES_MAX) indexes.add(index)
}

/** Reads the token counts of an answer or a chunk; undefined if it has none. */
export function readUsage(value: unknown): TokenUsage | undefined {
  if (!isRecord(value)) return undefined
  const promptTokens = value['prompt_tokens']
  const completionTokens = value['completion_tokens'] ?? 0
  return isCount(promptTokens) && isCount(completionTokens) ? { promptTokens, completionTokens } : undefined
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isRecord(value: unknown): value is Chunk {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
