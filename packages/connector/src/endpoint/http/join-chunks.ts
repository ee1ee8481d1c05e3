// Joins the text of consecutive chunks of an OpenAI-compatible stream into one part, for slow links (`coalesce-ms`).
import type { ReplyPart } from '../../step.ts'
import { JSON_TYPE } from './content-type.ts'

/** A parsed event. */
export type Chunk = Readonly<Record<string, unknown>>

// The text of a chunk, and the other values, which must be equal in two chunks that are joined.
interface Joinable {
  readonly text: string
  readonly rest: string
}

interface Pending {
  readonly data: Buffer
  readonly chunk: Chunk
  readonly rest: string
  readonly texts: string[]
  characters: number
}

// Limits the waiting text if a server is faster than the link.
const WAITING_CHARACTERS_MAX = 64 * 1024

// A chunk with members that are not listed here stays a part of its own, because joining could lose their meaning.
const CHUNK_MEMBERS: ReadonlySet<string> = new Set([
  'id',
  'object',
  'created',
  'model',
  'choices',
  'system_fingerprint',
  'service_tier',
])
const CHOICE_MEMBERS: ReadonlySet<string> = new Set(['index', 'delta', 'text'])

/**
 * Emits the first event at once. An event that follows a part within `coalesceMs` waits until that time is over.
 * The event is then joined with the events that arrived after it: the `content` of their deltas, or their `text`,
 * is concatenated. Two events are joined only if each has exactly one choice and no members other than the usual
 * ones (members that are null do not count), and if the events are equal except for this text and `created`. Every
 * other event is a part of its own. The order is kept. A part with a single event consists of the event's bytes; a
 * joined part has the members of its first event.
 */
export class ChunkJoiner {
  readonly #emit: (part: ReplyPart) => void
  readonly #coalesceMs: number
  #pending: Pending | undefined
  #timer: NodeJS.Timeout | undefined
  #nextAtMs = -Infinity

  /** @param coalesceMs milliseconds; 0 = nothing is joined */
  constructor(emit: (part: ReplyPart) => void, coalesceMs: number) {
    this.#emit = emit
    this.#coalesceMs = coalesceMs
  }

  /** Adds an event. `chunk` is the parsed data; undefined if the event must stay a part of its own. */
  add(data: Buffer, chunk: Chunk | undefined): void {
    const joinable = this.#coalesceMs === 0 || chunk === undefined ? undefined : readJoinable(chunk)
    if (joinable === undefined) {
      this.flush()
      return this.#send(data)
    }
    const { rest, text } = joinable
    const waiting = this.#pending
    if (waiting?.rest === rest && waiting.characters + text.length <= WAITING_CHARACTERS_MAX) {
      waiting.texts.push(text)
      waiting.characters += text.length
      return
    }
    this.flush()
    const waitMs = this.#nextAtMs - performance.now()
    if (waitMs <= 0 || text.length > WAITING_CHARACTERS_MAX) return this.#send(data)
    this.#pending = { data, chunk: chunk!, rest, texts: [text], characters: text.length }
    this.#timer = setTimeout(() => this.flush(), Math.ceil(waitMs))
  }

  /** Emits the events that wait. */
  flush(): void {
    const pending = this.#pending
    if (pending === undefined) return
    this.drop()
    this.#send(pending.texts.length === 1 ? pending.data : joined(pending))
  }

  /** Drops the events that wait. Must be called when the call has ended, if `flush` is not. */
  drop(): void {
    clearTimeout(this.#timer)
    this.#pending = undefined
  }

  #send(body: Buffer): void {
    this.#nextAtMs = performance.now() + this.#coalesceMs
    this.#emit({ body, contentType: JSON_TYPE })
  }
}

function readJoinable(chunk: Chunk): Joinable | undefined {
  if (!hasOnly(chunk, CHUNK_MEMBERS)) return undefined
  const { choices } = chunk
  if (!Array.isArray(choices) || choices.length !== 1) return undefined
  const choice: unknown = choices[0]
  if (!isRecord(choice) || !hasOnly(choice, CHOICE_MEMBERS)) return undefined
  const text = textOf(choice)
  if (text === undefined) return undefined
  const { id, object, model, system_fingerprint, service_tier } = chunk
  const kind = 'delta' in choice && choice['delta'] !== null ? 'delta' : 'text'
  const rest = JSON.stringify([id, object, model, system_fingerprint, service_tier, choice['index'], kind])
  return { text, rest }
}

function textOf({ delta, text }: Chunk): string | undefined {
  if (delta === undefined || delta === null) return typeof text === 'string' ? text : undefined
  if ((text ?? null) !== null || !isRecord(delta) || !hasOnly(delta, CONTENT)) return undefined
  const { content } = delta
  return typeof content === 'string' ? content : undefined
}

const CONTENT: ReadonlySet<string> = new Set(['content'])

function joined({ chunk, texts }: Pending): Buffer {
  const [choice] = chunk['choices'] as [Chunk]
  const text = texts.join('')
  const isDelta = (choice['delta'] ?? null) !== null
  const whole = isDelta
    ? { ...choice, delta: { ...(choice['delta'] as Chunk), content: text } }
    : { ...choice, text }
  return Buffer.from(JSON.stringify({ ...chunk, choices: [whole] }))
}

// Apart from the members that contain the text, all values must be scalars: a list or an object could be nested too
// deeply to be serialized again.
function hasOnly(value: Chunk, names: ReadonlySet<string>): boolean {
  return Object.entries(value).every(
    ([name, member]) =>
      member === null || (names.has(name) && (typeof member !== 'object' || NESTED.has(name))),
  )
}

const NESTED: ReadonlySet<string> = new Set(['choices', 'delta'])

function isRecord(value: unknown): value is Chunk {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
