// Splits a Kubernetes list into its objects while it arrives, so that neither a long list nor a huge object is in memory
// as a whole.
import { invalidResponse, tooLarge } from './kube-error.ts'
import { isRecord } from './kube-object.ts'

/** Takes the parts of a list. The bytes may be parts of a larger buffer and are valid only during the call. */
export interface ListSink {
  /** Called with the JSON of each object. */
  item(bytes: Buffer): void
  /** Called with the beginning of an object that is larger than the limit. */
  skipped(beginning: Buffer): void
}

/** The end of a list. */
export interface ListEnd {
  readonly resourceVersion: string
  /** Token for the next page; undefined = this was the last one. */
  readonly next: string | undefined
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_MAP = 0x7b
const CLOSE_MAP = 0x7d

// Members other than the objects: apiVersion, kind and metadata, whose continue token has some hundred bytes.
const FRAME_BYTES_MAX = 64 * 1024
// Depths of the list's array and of the objects in it.
const LIST_DEPTH = 2
const ITEM_DEPTH = 3

/** Reads one page of a list. */
export class ListReader {
  readonly #sink: ListSink
  readonly #itemBytesMax: number
  // The list without its objects.
  readonly #frame: Buffer[] = []
  #frameBytes = 0
  #depth = 0
  #isInText = false
  #isEscaped = false
  #isInItems = false
  #item: Buffer[] = []
  #itemBytes = 0

  constructor(sink: ListSink, itemBytesMax: number) {
    this.#sink = sink
    this.#itemBytesMax = itemBytesMax
  }

  /** Takes the next bytes. @throws KubeError `TooLarge` if there is too much outside the objects, `InvalidResponse` */
  feed(chunk: Buffer): void {
    // Local variables, because this loop sees every byte.
    let isInText = this.#isInText
    let isEscaped = this.#isEscaped
    let depth = this.#depth
    // Begin of the bytes that have not been kept yet: of the frame, or of an object.
    let from = 0
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at]!
      if (isInText) {
        if (isEscaped) isEscaped = false
        else if (byte === BACKSLASH) isEscaped = true
        else if (byte === QUOTE) isInText = false
      } else if (byte === QUOTE) isInText = true
      else if (byte === OPEN_MAP || byte === OPEN_LIST) {
        depth += 1
        if (depth === LIST_DEPTH && byte === OPEN_LIST) {
          this.#keepFrame(chunk.subarray(from, at + 1))
          from = at + 1
          this.#isInItems = true
        } else if (depth === ITEM_DEPTH && this.#isInItems) {
          checkBetween(chunk.subarray(from, at))
          from = at
        }
      } else if (byte === CLOSE_MAP || byte === CLOSE_LIST) {
        if (depth === ITEM_DEPTH && this.#isInItems) {
          this.#keepItem(chunk.subarray(from, at + 1))
          this.#endItem()
          from = at + 1
        } else if (depth === LIST_DEPTH && this.#isInItems) {
          checkBetween(chunk.subarray(from, at))
          from = at
          this.#isInItems = false
        }
        depth -= 1
      }
    }
    this.#isInText = isInText
    this.#isEscaped = isEscaped
    this.#depth = depth
    const rest = chunk.subarray(from)
    if (!this.#isInItems) this.#keepFrame(rest)
    else if (depth >= ITEM_DEPTH) this.#keepItem(rest)
    else checkBetween(rest)
  }

  /** Checks that the list is complete. @throws KubeError `InvalidResponse` */
  end(): ListEnd {
    const list = parseFrame(Buffer.concat(this.#frame).toString('utf8'))
    const metadata = isRecord(list) ? list['metadata'] : undefined
    if (!isRecord(list) || !isRecord(metadata)) throw invalidResponse('The answer is not a Kubernetes list')
    // A server in Go writes null for a list without objects.
    if (list['items'] !== null && !Array.isArray(list['items']))
      throw invalidResponse('The list has no items')
    const { resourceVersion, continue: next } = metadata
    if (typeof resourceVersion !== 'string' || resourceVersion === '') {
      throw invalidResponse('The list has no resourceVersion')
    }
    return { resourceVersion, next: typeof next === 'string' && next !== '' ? next : undefined }
  }

  #keepFrame(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#frame.push(bytes)
    this.#frameBytes += bytes.length
    if (this.#frameBytes > FRAME_BYTES_MAX) {
      throw tooLarge(
        `The list has more than ${FRAME_BYTES_MAX} bytes outside its objects`,
        'Check that the server address is a Kubernetes API server.',
      )
    }
  }

  #keepItem(bytes: Buffer): void {
    // One byte more than the limit marks the object as too large.
    const room = this.#itemBytesMax + 1 - this.#itemBytes
    if (room <= 0) return
    const kept = bytes.length > room ? bytes.subarray(0, room) : bytes
    this.#item.push(kept)
    this.#itemBytes += kept.length
  }

  #endItem(): void {
    const bytes = this.#item.length === 1 ? this.#item[0]! : Buffer.concat(this.#item)
    const isTooLarge = this.#itemBytes > this.#itemBytesMax
    this.#item = []
    this.#itemBytes = 0
    if (isTooLarge) this.#sink.skipped(bytes)
    else this.#sink.item(bytes)
  }
}

// Between two objects there is only a comma. It is not kept, so that the frame is valid JSON.
function checkBetween(bytes: Buffer): void {
  if (!/^[\s,]*$/.test(bytes.toString('latin1'))) {
    throw invalidResponse('The list has an entry that is not an object')
  }
}

function parseFrame(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw invalidResponse('The list is cut off or is not JSON')
  }
}
