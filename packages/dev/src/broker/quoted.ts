/** Quotes text from a client for the log: truncates it, and escapes characters that could control a terminal. */
export function quoted(text: string, lengthMax: number): string {
  // JSON does not escape U+007F to U+009F or bidirectional marks.
  return JSON.stringify(text.slice(0, lengthMax)).replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16) ?? ''}}`,
  )
}
