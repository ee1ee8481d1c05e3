// What `inferwire infer` prints: the body for standard output, one line about it for standard error.
import { printable } from '../table.ts'

/** What an answer says, independent of how it came. */
export interface Answer {
  readonly model: string
  readonly operation: string | undefined
  readonly status: number
  readonly durationMs: number
  readonly serverTiming: string | undefined
  readonly contentType: string | undefined
  readonly body: Uint8Array
}

/** How the body is printed: as it is, indented for a reader, or inside one JSON object. */
export type BodyFormat = 'body' | 'pretty' | 'json'

/** What goes to standard output. */
export function formatAnswer(answer: Answer, format: BodyFormat): Uint8Array | string {
  if (format === 'json') return `${JSON.stringify(toJson(answer))}\n`
  if (format === 'body') return answer.body
  const body = parsed(answer.body)
  return body === undefined ? answer.body : `${JSON.stringify(body, null, 2)}\n`
}

/** "200  5.2 ms  queue;dur=0.4, upstream;dur=3.1" */
export function answerLine({ status, durationMs, serverTiming }: Answer): string {
  const parts = [
    String(status),
    `${durationMs.toFixed(1)} ms`,
    ...(serverTiming === undefined ? [] : [serverTiming]),
  ]
  return `${printable(parts.join('  '))}\n`
}

// A body that is not JSON goes in as base64: the object stays valid, and nothing is lost.
function toJson(answer: Answer): Record<string, unknown> {
  const body = parsed(answer.body)
  return {
    model: answer.model,
    operation: answer.operation,
    status: answer.status,
    duration_ms: Math.round(answer.durationMs * 1_000) / 1_000,
    server_timing: answer.serverTiming,
    content_type: answer.contentType,
    ...(body === undefined && answer.body.length > 0
      ? { body_base64: Buffer.from(answer.body).toString('base64') }
      : { body }),
  }
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown
  } catch {
    return undefined
  }
}
