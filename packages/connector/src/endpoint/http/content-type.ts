// Reads the Content-Type of an answer.

/** RFC 8259 §11 */
export const JSON_TYPE = 'application/json'
/** RFC 9110 §8.3: without a type, the bytes may be anything. */
export const UNKNOWN_TYPE = 'application/octet-stream'
// As MQTT can carry it and a reader can show: a control character would end the connector's session.
const PASSABLE = /^[\w!#$&^.+-]{1,120}\/[\w!#$&^.+-]{1,120}(?: {0,8};[\x20-\x7e]{0,120})?$/

/** A Content Type that a PUBLISH can carry. RFC 9110 §5.6.3: a tab separates as a space does. */
export function passable(contentType: string | undefined): string {
  const spaced = contentType?.replaceAll('\t', ' ')
  return spaced !== undefined && PASSABLE.test(spaced) ? spaced : UNKNOWN_TYPE
}

/** JSON, or a type that is built on it (RFC 6839 §3.1). */
export function isJsonType(contentType: string): boolean {
  return /^application\/(?:[\w!#$&^.-]+\+)?json[ \t]*(?:;|$)/i.test(contentType)
}

/** HTML, which no model server answers with. */
export function isWebPage(contentType: string | undefined): boolean {
  return contentType !== undefined && /^text\/html/i.test(contentType)
}

/** Plain text. */
export function isPlainText(contentType: string): boolean {
  return /^text\/plain[ \t]*(?:;|$)/i.test(contentType)
}

/** UTF-8 is the charset of JSON (RFC 8259 §8.1), and US-ASCII is a part of it; any other one is foreign. */
export function hasForeignCharset(contentType: string): boolean {
  const charset = /;\s*charset\s*=\s*"?([^\s";]*)/i.exec(contentType)?.[1]
  return charset !== undefined && !/^(?:utf-?8|us-ascii)$/i.test(charset)
}
