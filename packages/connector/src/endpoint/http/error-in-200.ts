// Detects errors sent with status 200. The whole body must match a known form, because a model's output may have
// any members.
import { afterSpace, endOfString, startOfText } from './json-bytes.ts'

// `{"message":"…","batchId":"","predictions":null}` is sent by KServe's batcher if the model behind it failed.
const BATCHER_REST = /^\s*,\s*"batchId"\s*:\s*"(?:[^"\\]|\\.)*"\s*,\s*"predictions"\s*:\s*null\s*\}\s*$/
// `{"error":"…"}` and nothing else is sent by Triton's `generate` endpoint.
const NOTHING_MORE = /^\s*\}\s*$/
const MARK = /^"(error|message)"\s*:\s*"/
// In the known forms, the text after the error text is short.
const MARK_BYTES = 64
const REST_BYTES_MAX = 256

/** Returns whether the body of a 200 is an error in a known form, with a non-empty error text. */
export function isErrorIn200(body: Uint8Array): boolean {
  const brace = startOfText(body)
  if (body[brace] !== 0x7b) return false
  const quote = afterSpace(body, brace + 1)
  // Most responses return here, because their first member is neither "error" nor "message".
  if (body[quote + 1] !== 0x65 && body[quote + 1] !== 0x6d) return false
  const mark = MARK.exec(text(body, quote, quote + MARK_BYTES))
  if (mark === null) return false
  const start = quote + mark[0].length
  const end = endOfString(body, start)
  if (end === start + 1 || end === -1 || body.length - end > REST_BYTES_MAX) return false
  return (mark[1] === 'error' ? NOTHING_MORE : BATCHER_REST).test(text(body, end, body.length))
}

function text(body: Uint8Array, from: number, to: number): string {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1', from, to)
}
