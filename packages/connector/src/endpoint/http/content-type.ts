// Reads the Content-Type of a response.

/** The type of JSON (RFC 8259 §11). */
export const JSON_TYPE = 'application/json'
/** The type of a response without a Content-Type (RFC 9110 §8.3). */
export const UNKNOWN_TYPE = 'application/octet-stream'
// Allows only printable characters: a broker may close the connection if a PUBLISH contains other characters.
const PASSABLE = /^[\w!#$&^.+-]{1,120}\/[\w!#$&^.+-]{1,120}(?: {0,8};[\x20-\x7e]{0,120})?$/

/** Returns a Content Type that is valid in a PUBLISH. RFC 9110 §5.6.3: a tab is equivalent to a space. */
export function passable(contentType: string | undefined): string {
  const spaced = contentType?.replaceAll('\t', ' ')
  return spaced !== undefined && PASSABLE.test(spaced) ? spaced : UNKNOWN_TYPE
}

/** Returns true for JSON and for types with the suffix `+json` (RFC 6839 §3.1). */
export function isJsonType(contentType: string): boolean {
  return /^application\/(?:[\w!#$&^.-]+\+)?json[ \t]*(?:;|$)/i.test(contentType)
}

/** Returns true for HTML, which model servers never send. */
export function isWebPage(contentType: string | undefined): boolean {
  return contentType !== undefined && /^text\/html/i.test(contentType)
}

/** Returns true for plain text. */
export function isPlainText(contentType: string): boolean {
  return /^text\/plain[ \t]*(?:;|$)/i.test(contentType)
}

/** Returns true for every charset except UTF-8, which JSON requires (RFC 8259 §8.1), and its subset US-ASCII. */
export function hasForeignCharset(contentType: string): boolean {
  const charset = /;\s*charset\s*=\s*"?([^\s";]*)/i.exec(contentType)?.[1]
  return charset !== undefined && !/^(?:utf-?8|us-ascii)$/i.test(charset)
}

/** Returns true for server-sent events (WHATWG HTML §9.2.5). */
export function isEventStream(contentType: string | undefined): boolean {
  return contentType !== undefined && /^text\/event-stream[ \t]*(?:;|$)/i.test(contentType)
}
