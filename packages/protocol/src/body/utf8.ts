// Converts between UTF-8 and text with the codec that Node.js and browsers share.

// These two globals are not part of ECMAScript or its types. They are declared here, because a library that declares
// them would also declare other globals.
declare const TextDecoder: new (
  label: 'utf-8',
  options: { readonly fatal: boolean },
) => { decode(bytes: Uint8Array): string }
declare const TextEncoder: new () => { encode(text: string): Uint8Array }

/** Returns a function that decodes bytes, and throws a TypeError if they are not UTF-8. */
export function utf8Decoder(): (bytes: Uint8Array) => string {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  return (bytes) => decoder.decode(bytes)
}

/** Returns a function that encodes text; a lone surrogate becomes U+FFFD. */
export function utf8Encoder(): (text: string) => Uint8Array {
  const encoder = new TextEncoder()
  return (text) => encoder.encode(text)
}
