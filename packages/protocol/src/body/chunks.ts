// Joins bytes and short texts into one body.
import type { Span } from './json-spans.ts'
import { utf8Encoder } from './utf8.ts'

const encode = utf8Encoder()

/** A body under construction. Bytes are copied once, by `join`. */
export class Chunks {
  readonly #chunks: Uint8Array[] = []
  #length = 0

  /** Number of bytes so far. */
  get length(): number {
    return this.#length
  }

  add(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.#length += chunk.length
  }

  addText(text: string): void {
    this.add(encode(text))
  }

  addSpan(bytes: Uint8Array, { start, end }: Span): void {
    this.add(bytes.subarray(start, end))
  }

  join(): Uint8Array {
    const joined = new Uint8Array(this.#length)
    let at = 0
    for (const chunk of this.#chunks) {
      joined.set(chunk, at)
      at += chunk.length
    }
    return joined
  }
}
