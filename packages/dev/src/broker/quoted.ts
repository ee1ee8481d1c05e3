/** `text` of a client for the log: in quotes, cut off, and without characters that a terminal acts on. */
export function quoted(text: string, lengthMax: number): string {
  // JSON leaves U+007F to U+009F, and marks that reverse the direction of writing, as they are.
  return JSON.stringify(text.slice(0, lengthMax)).replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16) ?? ''}}`,
  )
}
