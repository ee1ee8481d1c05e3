// Writes generated text as one JSON object, or as server-sent events.
import type { Reply } from '../call.ts'
import { errorBody } from './openai-failure.ts'
import type { Delta, Usage } from './run-generation.ts'

/** The JSON objects that an operation returns. */
export interface Shape {
  /** The whole answer. */
  whole(text: string, finish: string, usage: Usage): object
  /** The first chunk; undefined = the stream begins with text. */
  readonly first?: object
  /** A chunk with text. */
  part(text: string): object
  /** The last chunk that contains a choice. */
  last(finish: string): object
  /** The chunk with the token counts. */
  usage(usage: Usage): object
}

/** Waits for the whole text. */
export async function wholeText(shape: Shape, deltas: AsyncIterable<Delta>): Promise<string> {
  let text = ''
  for await (const delta of deltas) {
    text += delta.text
    if (delta.finish !== undefined) return JSON.stringify(shape.whole(text, delta.finish, delta.usage))
  }
  throw new Error('the generation ended without a last piece')
}

/** Sends each piece of text as an event as soon as it is generated. `[DONE]` is the last event. */
export function eventStream(shape: Shape, deltas: AsyncIterable<Delta>, includesUsage: boolean): Reply {
  return {
    events: eventsOf(shape, deltas, includesUsage),
    headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' },
  }
}

async function* eventsOf(
  shape: Shape,
  deltas: AsyncIterable<Delta>,
  includesUsage: boolean,
): AsyncGenerator<string> {
  // With include_usage, all chunks except the one with the token counts contain `"usage": null`.
  const event = (chunk: object): string => toEvent(includesUsage ? { ...chunk, usage: null } : chunk)
  try {
    if (shape.first !== undefined) yield event(shape.first)
    for await (const { text, finish, ...rest } of deltas) {
      if (text !== '') yield event(shape.part(text))
      if (finish === undefined) continue
      yield event(shape.last(finish))
      if (includesUsage) yield toEvent(shape.usage((rest as { usage: Usage }).usage))
    }
  } catch (error) {
    // The status 200 has already been sent, so the error is sent as an event, as on vLLM.
    yield toEvent(
      errorBody(500, `The model failed: ${error instanceof Error ? error.message : String(error)}`),
    )
  }
  yield 'data: [DONE]\n\n'
}

function toEvent(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`
}
