// The elements of a BYTES tensor: each has its length as 32 bits, little-endian, before its bytes.
import { utf8Decoder, utf8Encoder, utf8Writer } from './utf8.ts'

/** Encodes a text as an element without its length. */
export const encodeText: (text: string) => Uint8Array = utf8Encoder()
const writeText = utf8Writer()

/** Returns the bytes of a tensor with these elements. */
export function joinElements(elements: readonly (string | Uint8Array)[]): Uint8Array {
  // UTF-8 has at most 3 bytes for a code unit of UTF-16. An array of its own for each text would take more time.
  const raw = new Uint8Array(
    elements.reduce(
      (bytes, element) => bytes + 4 + (typeof element === 'string' ? 3 * element.length : element.length),
      0,
    ),
  )
  const view = new DataView(raw.buffer)
  let at = 0
  for (const element of elements) {
    const length = typeof element === 'string' ? writeText(element, raw.subarray(at + 4)) : element.length
    if (typeof element !== 'string') raw.set(element, at + 4)
    view.setUint32(at, length, true)
    at += 4 + length
  }
  return at === raw.length ? raw : raw.slice(0, at)
}

/** Returns the elements as views of the tensor's bytes; undefined if the last element is truncated. */
export function splitElements(raw: Uint8Array): Uint8Array[] | undefined {
  const view = viewOf(raw)
  const elements: Uint8Array[] = []
  for (let at = 0; at < raw.length;) {
    const start = at + 4
    at = afterElement(view, at)
    if (at > raw.length) return undefined
    elements.push(raw.subarray(start, at))
  }
  return elements
}

/** Returns the number of elements; undefined if the last element is truncated. */
export function countElements(raw: Uint8Array): number | undefined {
  const view = viewOf(raw)
  let count = 0
  let at = 0
  for (; at < raw.length; count++) at = afterElement(view, at)
  return at === raw.length ? count : undefined
}

/** Returns the position after `count` elements that begin at `from`; beyond the bytes if there are fewer elements. */
export function afterElements(raw: Uint8Array, from: number, count: number): number {
  const view = viewOf(raw)
  let at = from
  for (let index = 0; index < count && at <= raw.length; index++) at = afterElement(view, at)
  return at
}

/**
 * Decodes the elements of a tensor that has no truncated element.
 * @param visit receives the text of each element before the next one is decoded
 * @throws TypeError if an element is not UTF-8, and what `visit` throws
 */
export function decodeElements(raw: Uint8Array, visit?: (text: string) => void): string[] {
  const view = viewOf(raw)
  const decode = utf8Decoder()
  const texts: string[] = []
  for (let at = 0; at < raw.length;) {
    const start = at + 4
    at = afterElement(view, at)
    const text = decode(raw.subarray(start, at))
    visit?.(text)
    texts.push(text)
  }
  return texts
}

// Returns the position after the element at `at`; beyond the bytes if the element is truncated.
function afterElement(view: DataView, at: number): number {
  const start = at + 4
  return start > view.byteLength ? start : start + view.getUint32(at, true)
}

function viewOf(raw: Uint8Array): DataView {
  return new DataView(raw.buffer, raw.byteOffset, raw.byteLength)
}
