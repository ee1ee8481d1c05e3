// Parses server-sent events (WHATWG HTML §9.2.6) from the chunks of a response body, and limits their size.
import { ByteBuilder } from './byte-builder.ts'

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
const COLON = 0x3a
const SPACE = 0x20
const NEW_LINE = Buffer.from('\n')
const BYTE_ORDER_MARK = Buffer.from('\ufeff')
const EVENT_NAME_BYTES_MAX = 64

/** Thrown if an event or a line is larger than the limit. */
export class EventTooLargeError extends Error {}

/** Called with an event's data, and with its name if the server sent a name. The callback may keep the bytes. */
export type OnEvent = (data: Buffer, name: string) => void

/**
 * Splits a byte stream into events. Bytes are not decoded, so the data is unchanged, and a character may be divided
 * between two chunks. The fields `id` and `retry` are ignored, because there is no reconnection.
 */
export class EventStreamParser {
  readonly #onEvent: OnEvent
  readonly #bytesMax: number
  /** The beginning of a line that continues in the next chunk. */
  readonly #line = new ByteBuilder()
  /** The data of the current event; each line ends with a line feed. */
  readonly #data = new ByteBuilder()
  #name = ''
  #isFirstLine = true
  // A line feed after a carriage return belongs to the same line end, even if it is in the next chunk.
  #isAfterReturn = false

  /** @param bytesMax limit for the data of one event, and for one line */
  constructor(onEvent: OnEvent, bytesMax: number) {
    this.#onEvent = onEvent
    this.#bytesMax = bytesMax
  }

  /** Parses the next bytes. @throws EventTooLargeError, or the callback's error; the parser is unusable afterwards */
  push(chunk: Buffer): void {
    let at = 0
    if (this.#isAfterReturn && chunk[0] === LINE_FEED) at = 1
    if (chunk.length > 0) this.#isAfterReturn = false
    let nextReturn = chunk.indexOf(CARRIAGE_RETURN, at)
    while (at < chunk.length) {
      const nextFeed = chunk.indexOf(LINE_FEED, at)
      if (nextReturn !== -1 && nextReturn < at) nextReturn = chunk.indexOf(CARRIAGE_RETURN, at)
      const isReturn = nextReturn !== -1 && (nextFeed === -1 || nextReturn < nextFeed)
      const end = isReturn ? nextReturn : nextFeed
      if (end === -1) {
        this.#check(this.#line.length + chunk.length - at)
        this.#line.append(chunk.subarray(at))
        return
      }
      this.#endLine(chunk.subarray(at, end))
      at = end + 1
      if (!isReturn) continue
      if (at === chunk.length) this.#isAfterReturn = true
      else if (chunk[at] === LINE_FEED) at += 1
    }
  }

  /** Ends the body: a last event without a blank line after it is passed on. @throws as `push` does */
  end(): void {
    if (this.#line.length > 0) this.#endLine(Buffer.alloc(0))
    this.#dispatch()
  }

  #endLine(rest: Buffer): void {
    if (this.#line.length === 0) return this.#takeLine(rest)
    this.#check(this.#line.length + rest.length)
    this.#line.append(rest)
    this.#takeLine(this.#line.take())
  }

  #takeLine(given: Buffer): void {
    this.#check(given.length)
    let line = given
    if (this.#isFirstLine) {
      this.#isFirstLine = false
      if (line.subarray(0, 3).equals(BYTE_ORDER_MARK)) line = line.subarray(3)
    }
    if (line.length === 0) return this.#dispatch()
    const colon = line.indexOf(COLON)
    const field = line.toString('latin1', 0, Math.min(colon === -1 ? line.length : colon, 8))
    if (field !== 'data' && field !== 'event') return
    const value = colon === -1 ? line.subarray(line.length) : line.subarray(colon + 1)
    this.#takeField(field, value[0] === SPACE ? value.subarray(1) : value)
  }

  #takeField(field: 'data' | 'event', value: Buffer): void {
    if (field === 'event') {
      this.#name = value.toString('latin1', 0, EVENT_NAME_BYTES_MAX)
      return
    }
    this.#check(this.#data.length + value.length)
    this.#data.append(value)
    this.#data.append(NEW_LINE)
  }

  #dispatch(): void {
    const name = this.#name
    this.#name = ''
    if (this.#data.length === 0) return
    const data = this.#data.take()
    this.#onEvent(data.subarray(0, data.length - 1), name)
  }

  #check(bytes: number): void {
    if (bytes <= this.#bytesMax) return
    throw new EventTooLargeError(`An event is larger than ${this.#bytesMax} bytes.`)
  }
}
