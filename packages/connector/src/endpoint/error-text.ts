// What of a model server's error text goes out to the client: servers send tracebacks and paths of their files.
import { isUtf8 } from 'node:buffer'
import type { ModelConfig } from '../config/index.ts'

/** `models.*.errorText` */
export type ErrorText = ModelConfig['errorText']

// A body above this is not a message.
const BODY_BYTES_MAX = 64 * 1024
const TEXT_CHARACTERS_MAX = 1_000
// A traceback has its exception at the end; with 1,000 frames, where Python stops a recursion, it has about 130 kB.
const TEXT_BYTES_MAX = 256 * 1024

// The member with the text: KServe, Triton and MLServer have `error`, FastAPI `detail`, TorchServe and OpenAI `message`.
// An escape that is cut off is left out.
const TEXT_MEMBER = /"(?:error|detail|message)"\s*:\s*"((?:[^"\\]|\\u[\da-f]{4}|\\[^u])*)/i
const JSON_STRING = /"(?:[^"\\]|\\.)*"/gs
const LINE_END = /[\n\r\u2028\u2029]/
const TRACEBACK = 'Traceback (most recent call last):'
// The stack is indented; the exception is not.
const EXCEPTION = /^(?:[ \t].*)?(?:\n(?:[ \t].*)?)*\n([^ \t\n].*)/

/** The text of an error, whatever form the body has: its beginning, where it is very long. */
export function readErrorText(body: Uint8Array): string {
  const length = Math.min(body.length, TEXT_BYTES_MAX)
  const head = Buffer.from(body.buffer, body.byteOffset, length).toString('utf8')
  const member = head.trimStart().startsWith('{') ? TEXT_MEMBER.exec(head)?.[1] : undefined
  return (member === undefined ? head : unescaped(member)).trim()
}

/** What of the text goes out, where the error has a body of ours; empty = nothing. */
export function shownText(text: string, mode: ErrorText): string {
  if (mode === 'none') return ''
  const shown = mode === 'whole' ? text : firstLine(text)
  // Never half of a surrogate pair.
  return shown.slice(0, TEXT_CHARACTERS_MAX).replace(/[\ud800-\udbff]$/, '')
}

/** What of an error's body goes out; undefined = the reply has a body of ours. An unchanged body is not copied. */
export function shownBody(body: Uint8Array, mode: ErrorText): Uint8Array | undefined {
  if (mode === 'none' || body.length === 0 || body.length > BODY_BYTES_MAX) return undefined
  if (mode === 'whole') return body
  // In another charset, line ends and quotes are the same bytes, and no other byte may change.
  const encoding = isUtf8(body) ? 'utf8' : 'latin1'
  const whole = Buffer.from(body.buffer, body.byteOffset, body.length).toString(encoding)
  const cut = isJson(whole) ? whole.replace(JSON_STRING, firstLineOfString) : firstLine(whole)
  if (cut === whole) return body
  if (cut === '') return undefined
  return Buffer.from(encoding === 'utf8' ? cut : cut.replaceAll(/[^\0-\xff]/g, escaped), encoding)
}

// Of a traceback (MLServer, which has debug on by default) the first line says nothing: the line with the exception.
function firstLine(text: string): string {
  if (!LINE_END.test(text)) return text
  const lines = text.trim().replaceAll('\r\n', '\n')
  const traceback = lines.startsWith(TRACEBACK) ? lines.lastIndexOf(TRACEBACK) + TRACEBACK.length : -1
  const exception = traceback === -1 ? undefined : EXCEPTION.exec(lines.slice(traceback))?.[1]
  return (exception ?? lines.split(LINE_END, 1)[0] ?? '').trim()
}

// In its escaped form, so that a string without a line end stays as it is.
function firstLineOfString(literal: string): string {
  const text = JSON.parse(literal) as string
  const line = firstLine(text)
  return line === text ? literal : JSON.stringify(line)
}

// What latin1 cannot have was an escape in a JSON string before.
function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function isJson(text: string): boolean {
  try {
    // RFC 8259 §8.1: a byte order mark may be ignored.
    JSON.parse(text.replace(/^\ufeff/, ''))
    return true
  } catch {
    return false
  }
}

// Servers write control characters as they are, and escapes that JSON does not have.
function unescaped(text: string): string {
  try {
    return JSON.parse(`"${text.replaceAll(/[\u0000-\u001f]/g, ' ')}"`) as string
  } catch {
    return text
  }
}
