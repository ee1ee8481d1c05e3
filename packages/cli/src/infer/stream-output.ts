// Formats the parts of a streamed answer, one line each.
import type { StreamPart } from '@inferwire/client'
import { compactJson, jsonText } from '../json-text.ts'
import { headOf, withBody, type Answer, type BodyFormat } from './infer-output.ts'

/**
 * Returns the line for one part; with `json`, the line is an object that contains `seq` and `body`. A body that is not
 * JSON is unchanged.
 */
export function formatPart({ seq, body }: StreamPart, format: BodyFormat): Uint8Array | string {
  if (format === 'body') return Buffer.concat([body, Buffer.from('\n')])
  const text = jsonText(body)
  if (format === 'json') return `${withBody(JSON.stringify({ seq }), body, text)}\n`
  return text === undefined ? Buffer.concat([body, Buffer.from('\n')]) : `${compactJson(text)}\n`
}

/** Returns the line after the last part: the details of the answer with `json`, otherwise an empty string. */
export function formatEnd(answer: Answer, format: BodyFormat): string {
  return format === 'json' ? `${headOf(answer).slice(0, -1)},"final":true}\n` : ''
}
