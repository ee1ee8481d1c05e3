// Converts between UTF-8 and text with the codec that Node.js and browsers share.

// These two globals are not part of ECMAScript or its types. They are declared here, because a library that declares
// them would also declare other globals.
declare const TextDecoder: new (
  label: 'utf-8',
  options: { readonly fatal: boolean; readonly ignoreBOM: boolean },
) => { decode(bytes: Uint8Array): string }
declare const TextEncoder: new () => {
  encode(text: string): Uint8Array
  encodeInto(text: string, target: Uint8Array): { written: number }
}

/** Returns a function that decodes bytes exactly, and throws a TypeError if they are not UTF-8. */
export function utf8Decoder(): (bytes: Uint8Array) => string {
  // Despite its name, the option keeps a byte order mark at the start of a text.
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  return (bytes) => decoder.decode(bytes)
}

/** Returns a function that encodes text; a lone surrogate becomes U+FFFD. */
export function utf8Encoder(): (text: string) => Uint8Array {
  const encoder = new TextEncoder()
  return (text) => encoder.encode(text)
}

/** Returns a function that encodes text as `utf8Encoder` does, into an array, and returns the number of bytes. */
export function utf8Writer(): (text: string, target: Uint8Array) => number {
  const encoder = new TextEncoder()
  return (text, target) => encoder.encodeInto(text, target).written
}
