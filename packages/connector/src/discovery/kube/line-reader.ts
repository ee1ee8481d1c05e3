// Splits the body of a watch into lines, as bytes, so that a character may be split between two chunks.

/** Takes the lines of a watch. */
export interface LineSink {
  /** Called with each line that is not empty. */
  line(bytes: Buffer): void
  /** Called with the beginning of a line that is longer than the limit. */
  skipped(beginning: Buffer): void
}

const NEWLINE = 0x0a

/** Reads lines. At most one line of limited length is in memory. */
export class LineReader {
  readonly #sink: LineSink
  readonly #bytesMax: number
  #parts: Buffer[] = []
  #bytes = 0

  constructor(sink: LineSink, bytesMax: number) {
    this.#sink = sink
    this.#bytesMax = bytesMax
  }

  /** Takes the next bytes. Bytes after the last newline wait for the next call; without one, they are an incomplete line. */
  feed(chunk: Buffer): void {
    let from = 0
    for (;;) {
      const end = chunk.indexOf(NEWLINE, from)
      this.#keep(chunk.subarray(from, end < 0 ? chunk.length : end))
      if (end < 0) return
      this.#endLine()
      from = end + 1
    }
  }

  #keep(bytes: Buffer): void {
    // One byte more than the limit marks the line as too long.
    const room = this.#bytesMax + 1 - this.#bytes
    if (room <= 0 || bytes.length === 0) return
    const kept = bytes.length > room ? bytes.subarray(0, room) : bytes
    this.#parts.push(kept)
    this.#bytes += kept.length
  }

  #endLine(): void {
    if (this.#bytes === 0) return
    const bytes = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts)
    const isTooLong = this.#bytes > this.#bytesMax
    this.#parts = []
    this.#bytes = 0
    if (isTooLong) this.#sink.skipped(bytes)
    else this.#sink.line(bytes)
  }
}
