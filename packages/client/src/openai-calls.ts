// Builds the bodies of chat(), completions() and embeddings(), and reads answers and chunks.
import { InferwireError } from './error.ts'
import type { PartReader } from './receivers.ts'
import type { Reply } from './reply.ts'
import type { StreamPart } from './stream-part.ts'

/** A body of the OpenAI-compatible API. */
export interface GenerationBody {
  readonly model?: string
  readonly stream?: boolean | null
  readonly [member: string]: unknown
}

/**
 * Returns the body to send. Its member `model` is the model in the topic, unless the caller sets another model.
 * The argument `stream` overrides the member `stream`.
 */
export function toGenerationBody(
  model: string,
  request: Readonly<Record<string, unknown>>,
  stream: boolean | undefined,
): GenerationBody {
  return { model, ...request, ...(stream === undefined ? {} : { stream }) }
}

/** Reads the JSON object of a whole answer. @throws InferwireError `upstream_invalid_response` */
export function toAnswer(reply: Reply, model: string): object {
  return asObject(reply.json(), reply.body, model)
}

/** Reads the chunks of a stream. */
export function chunkReader<T>(model: string): PartReader<T> {
  return { read: (part) => toChunk(part, model) as T, acceptsWhole: false }
}

// Some servers report an error in the middle of a stream as an event like any other.
function toChunk(part: StreamPart, model: string): object {
  const chunk = asObject(part.json(), part.body, model)
  const error = (chunk as { error?: unknown }).error
  if (error === undefined || error === null) return chunk
  const { message, code } = (typeof error === 'object' ? error : { message: error }) as {
    message?: unknown
    code?: unknown
  }
  const text = typeof message === 'string' && message !== '' ? message : 'The stream contains an error.'
  throw new InferwireError('upstream_error', text, {
    model,
    body: part.body,
    status: typeof code === 'number' && code >= 400 && code <= 599 ? code : undefined,
  })
}

function asObject(value: unknown, body: Uint8Array, model: string): object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw new InferwireError('upstream_invalid_response', `Model "${model}" did not send a JSON object.`, {
    model,
    body,
    retryable: false,
  })
}
