// Converts between UTF-8 and text with the codec that Node.js and browsers share.

// Part of neither ECMAScript nor its types. Declared for this file only, so that no other global comes with it.
declare const TextDecoder: new (
  label: 'utf-8',
  options: { readonly fatal: boolean },
) => { decode(bytes: Uint8Array): string }
declare const TextEncoder: new () => { encode(text: string): Uint8Array }

/** Makes a function from bytes to text, which throws TypeError when the bytes are not UTF-8. */
export function utf8Decoder(): (bytes: Uint8Array) => string {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  return (bytes) => decoder.decode(bytes)
}

/** Makes a function from text to bytes; a lone surrogate becomes U+FFFD. */
export function utf8Encoder(): (text: string) => Uint8Array {
  const encoder = new TextEncoder()
  return (text) => encoder.encode(text)
}
