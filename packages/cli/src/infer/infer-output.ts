// Formats the output of `inferwire infer`: the body for standard output, a status line for standard error.
import type { Reply, TokenUsage } from '@inferwire/client'
import { PROPERTY } from '@inferwire/protocol'
import { compactJson, indentJson, isJsonType, jsonText } from '../json-text.ts'
import { printable } from '../table.ts'

const NEWLINE = 0x0a

/** The fields of a reply that the SDK and this module share. */
type ReplyFields = Pick<
  Reply,
  'status' | 'durationMs' | 'serverTiming' | 'contentType' | 'headers' | 'body' | 'usage'
>

/** The printed fields of a reply. */
export interface Answer {
  /** Undefined for the result of a request that another process sent. */
  readonly model: string | undefined
  readonly operation: string | undefined
  readonly status: number
  readonly durationMs: number
  readonly serverTiming: string | undefined
  readonly contentType: string | undefined
  /** Length in bytes of the JSON that precedes binary tensors, from the reply's user property. */
  readonly inferenceHeaderContentLength: string | undefined
  readonly body: Uint8Array
  /** The token counts that a language model's server reported. */
  readonly usage?: TokenUsage | undefined
}

/** Returns the fields of a reply that are printed. */
export function toAnswer(
  reply: ReplyFields,
  model: string | undefined,
  operation: string | undefined,
): Answer {
  const { status, durationMs, serverTiming, contentType, headers, body, usage } = reply
  const inferenceHeaderContentLength = headers[PROPERTY.inferenceHeaderContentLength]
  return {
    model,
    operation,
    status,
    durationMs,
    serverTiming,
    contentType,
    inferenceHeaderContentLength,
    body,
    usage,
  }
}

/**
 * How the body is printed: `body` = unchanged; `lines` = JSON ends with a line break; `pretty` = JSON is indented;
 * `json` = the body is inside a JSON object on one line.
 */
export type BodyFormat = 'body' | 'lines' | 'pretty' | 'json'

/** Returns the text or bytes for standard output. Numbers keep all digits, because JSON is never re-serialized. */
export function formatAnswer(answer: Answer, format: BodyFormat): Uint8Array | string {
  const { body } = answer
  if (format === 'body') return body
  const text = isMixed(answer) ? undefined : jsonText(body)
  if (format === 'json') return `${toJsonLine(answer, text)}\n`
  if (format === 'pretty' && text !== undefined) return `${indentJson(text)}\n`
  return isLine(answer, text) ? Buffer.concat([body, Buffer.from('\n')]) : body
}

// A line break is added only to JSON that does not end with one; other bytes, such as binary tensors, are not changed.
function isLine({ body, contentType }: Answer, text: string | undefined): boolean {
  if (text === undefined || body.at(-1) === NEWLINE) return false
  return contentType === undefined || isJsonType(contentType)
}

// Returns whether the body is JSON followed by binary tensors.
function isMixed({ inferenceHeaderContentLength }: Answer): boolean {
  return inferenceHeaderContentLength !== undefined
}

/** Returns the status line, for example "200  5.2 ms  queue;dur=0.4, upstream;dur=3.1". */
export function answerLine(answer: Answer): string {
  const { status, durationMs, serverTiming, inferenceHeaderContentLength: jsonBytes, usage } = answer
  const parts = [
    String(status),
    `${durationMs.toFixed(1)} ms`,
    ...(serverTiming === undefined ? [] : [serverTiming]),
    ...(usage === undefined ? [] : [usageText(usage)]),
    ...(jsonBytes === undefined ? [] : [`inference-header-content-length=${jsonBytes}`]),
  ]
  return `${printable(parts.join('  '))}\n`
}

function usageText({ promptTokens, completionTokens }: TokenUsage): string {
  return `tokens: ${promptTokens ?? '?'} in, ${completionTokens ?? '?'} out`
}

function toJsonLine(answer: Answer, text: string | undefined): string {
  return withBody(headOf(answer), answer.body, text)
}

/** Returns the details of an answer as a JSON object, without its body. */
export function headOf(answer: Answer): string {
  const { usage } = answer
  return JSON.stringify({
    model: answer.model,
    operation: answer.operation,
    status: answer.status,
    duration_ms: Math.round(answer.durationMs * 1_000) / 1_000,
    server_timing: answer.serverTiming,
    content_type: answer.contentType,
    inference_header_content_length: lengthOf(answer),
    ...(usage === undefined
      ? {}
      : { prompt_tokens: usage.promptTokens, completion_tokens: usage.completionTokens }),
  })
}

/** Adds a body to a JSON object. A body that is not JSON is encoded as base64. */
export function withBody(head: string, body: Uint8Array, text: string | undefined): string {
  if (body.length === 0) return head
  const member =
    text === undefined
      ? `"body_base64":"${Buffer.from(body).toString('base64')}"`
      : `"body":${compactJson(text)}`
  return `${head.slice(0, -1)},${member}}`
}

// Returns the length as a number. Returns a malformed value as text, so that the reader notices it.
function lengthOf({ inferenceHeaderContentLength: text }: Answer): number | string | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : text
}
