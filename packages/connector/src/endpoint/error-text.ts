// Limits how much of a model server's error text clients receive, because it may contain tracebacks and file paths.
import { isUtf8 } from 'node:buffer'
import type { ModelConfig } from '../config/index.ts'

/** Value of `models.*.errorText`. */
export type ErrorText = ModelConfig['errorText']

// Larger bodies are not passed on, because they are unlikely to be error messages.
const BODY_BYTES_MAX = 64 * 1024
const TEXT_CHARACTERS_MAX = 1_000
// A traceback must be read to its end, where its exception is. At Python's recursion limit of 1,000 frames, a traceback
// takes roughly 130 kB.
const TEXT_BYTES_MAX = 256 * 1024

// Matches the error text in a JSON member. KServe, Triton and MLServer call the member `error`, FastAPI calls it
// `detail`, and TorchServe and OpenAI call it `message`.
// A truncated escape at the end is not matched.
const TEXT_MEMBER = /"(?:error|detail|message)"\s*:\s*"((?:[^"\\]|\\u[\da-f]{4}|\\[^u])*)/i
const JSON_STRING = /"(?:[^"\\]|\\.)*"/gs
const LINE_END = /[\n\r\u2028\u2029]/
const TRACEBACK = 'Traceback (most recent call last):'
// Stack lines are indented; the exception is not.
const EXCEPTION = /^(?:[ \t].*)?(?:\n(?:[ \t].*)?)*\n([^ \t\n].*)/

/** Reads the error text from a body in any format. A very long body is truncated. */
export function readErrorText(body: Uint8Array): string {
  const length = Math.min(body.length, TEXT_BYTES_MAX)
  const head = Buffer.from(body.buffer, body.byteOffset, length).toString('utf8')
  const member = head.trimStart().startsWith('{') ? TEXT_MEMBER.exec(head)?.[1] : undefined
  return (member === undefined ? head : unescaped(member)).trim()
}

/** Returns the part of the text that the connector's own error body may contain; empty = none. */
export function shownText(text: string, mode: ErrorText): string {
  if (mode === 'none') return ''
  const shown = mode === 'whole' ? text : firstLine(text)
  // Do not split a surrogate pair.
  return shown.slice(0, TEXT_CHARACTERS_MAX).replace(/[\ud800-\udbff]$/, '')
}

/** Returns the error body to send; undefined = the connector writes its own body. An unchanged body is not copied. */
export function shownBody(body: Uint8Array, mode: ErrorText): Uint8Array | undefined {
  if (mode === 'none' || body.length === 0 || body.length > BODY_BYTES_MAX) return undefined
  if (mode === 'whole') return body
  // Most other charsets encode line ends and quotes as ASCII does, and latin1 preserves all other bytes.
  const encoding = isUtf8(body) ? 'utf8' : 'latin1'
  const whole = Buffer.from(body.buffer, body.byteOffset, body.length).toString(encoding)
  const cut = isJson(whole) ? whole.replace(JSON_STRING, firstLineOfString) : firstLine(whole)
  if (cut === whole) return body
  if (cut === '') return undefined
  return Buffer.from(encoding === 'utf8' ? cut : cut.replaceAll(/[^\0-\xff]/g, escaped), encoding)
}

// Returns the first line of a text. For a traceback, returns the line with the exception, because the first line of
// every traceback is the same. MLServer sends tracebacks by default.
function firstLine(text: string): string {
  if (!LINE_END.test(text)) return text
  const lines = text.trim().replaceAll('\r\n', '\n')
  const traceback = lines.startsWith(TRACEBACK) ? lines.lastIndexOf(TRACEBACK) + TRACEBACK.length : -1
  const exception = traceback === -1 ? undefined : EXCEPTION.exec(lines.slice(traceback))?.[1]
  return (exception ?? lines.split(LINE_END, 1)[0] ?? '').trim()
}

// Takes and returns a string in its escaped form, so that a string without a line end remains unchanged.
function firstLineOfString(literal: string): string {
  const text = JSON.parse(literal) as string
  const line = firstLine(text)
  return line === text ? literal : JSON.stringify(line)
}

// A character outside latin1 was an escape sequence in the original JSON.
function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function isJson(text: string): boolean {
  try {
    // RFC 8259 §8.1: parsers may ignore a byte order mark.
    JSON.parse(text.replace(/^\ufeff/, ''))
    return true
  } catch {
    return false
  }
}

// Tolerates raw control characters and invalid escapes, which some servers send.
function unescaped(text: string): string {
  try {
    return JSON.parse(`"${text.replaceAll(/[\u0000-\u001f]/g, ' ')}"`) as string
  } catch {
    return text
  }
}
