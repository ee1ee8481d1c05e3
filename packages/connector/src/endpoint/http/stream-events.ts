// Interprets the events of a stream: errors, the reason for which generation ended, and token counts.
import type { TokenUsage } from '../../step.ts'
import { isErrorIn200 } from './error-in-200.ts'
import type { Chunk } from './join-chunks.ts'
import { isWholeJson } from './whole-json.ts'

/** The status of an error that does not contain one: a server error. */
const SERVER_ERROR = 500

/** Parses an event as a JSON object; undefined if it is not one. */
export function parseChunk(data: Buffer): Chunk | undefined {
  try {
    const value: unknown = JSON.parse(data.toString())
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Returns whether an event that is not parsed can be a part: it is complete JSON. */
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

/** Like `errorStatusOf`, for events that are not parsed: only Triton's `{"error":"…"}`, and events named `error`. */
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
  readonly #open = new Set<unknown>()
  #hasEnded = false

  /** Whether at least one choice has ended, and none is incomplete. */
  get isComplete(): boolean {
    return this.#hasEnded && this.#open.size === 0
  }

  read({ choices }: Chunk): void {
    if (!Array.isArray(choices)) return
    for (const choice of choices as unknown[]) {
      if (!isRecord(choice)) continue
      const index = typeof choice['index'] === 'number' ? choice['index'] : 0
      if ((choice['finish_reason'] ?? null) === null) {
        // A server chooses the indexes, so their number is limited.
        if (this.#open.size < CHOICES_MAX) this.#open.add(index)
      } else {
        this.#open.delete(index)
        this.#hasEnded = true
      }
    }
  }
}

// Only an attack would request more choices.
const CHOICES_MAX = 65_536

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
