// Reads the beginning of an answer before the HTTP parser does, for the interim answers (1xx) that undici refuses.

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
// "HTTP/1.1 100": where the digits of the status are.
const STATUS_AT = 9
const STATUS_END = 12
const LETTER_H = 0x48
const DIGIT_1 = 0x31
const DIGIT_2 = 0x32

/** Why the connection must end: the server left HTTP, or sends interim answers without an end. */
export type InterimFault = 'switched' | 'endless'

// As much as Node.js takes of an answer's head.
const INTERIM_BYTES_MAX = 16 * 1024

/**
 * RFC 9110 §15.2: a client must be able to read interim answers that it did not ask for. undici skips all but 100,
 * which it takes for the end of the connection; so 100 (Continue) is renamed to 102 in the bytes, which means as little
 * and is skipped.
 */
export class InterimAnswers {
  /** Bytes of the head under way; -1 = the final answer has begun, or none is awaited. */
  #at = -1
  #status = ''
  #isLineEmpty = true
  // Bytes of interim answers since the request.
  #bytes = 0

  /** A request was sent: what comes next is the head of an answer. */
  expect(): void {
    this.#bytes = 0
    this.#expectHead()
  }

  #expectHead(): void {
    this.#at = 0
    this.#status = ''
    this.#isLineEmpty = true
  }

  /** Looks at the bytes that came next, and changes a 100 in them. */
  look(chunk: Buffer): InterimFault | undefined {
    // Nearly always: the final answer, its status in the first bytes.
    if (this.#at === 0 && chunk[0] === LETTER_H && chunk.length > STATUS_AT && chunk[STATUS_AT] !== DIGIT_1) {
      this.#at = -1
    }
    for (let index = 0; index < chunk.length && this.#at !== -1; index += 1) {
      const byte = chunk[index]!
      if (++this.#bytes > INTERIM_BYTES_MAX) return 'endless'
      // Servers may leave line ends behind the answer before.
      if (this.#at === 0 && (byte === LINE_FEED || byte === CARRIAGE_RETURN)) continue
      if (this.#at >= STATUS_AT && this.#at < STATUS_END) {
        if (this.#at === STATUS_AT && byte !== DIGIT_1) {
          this.#at = -1
          return undefined
        }
        this.#status += String.fromCharCode(byte)
        if (this.#status === '100') chunk[index] = DIGIT_2
        if (this.#status === '101') return 'switched'
      }
      this.#at += 1
      if (byte === LINE_FEED && this.#isLineEmpty) this.#expectHead()
      else if (byte !== CARRIAGE_RETURN) this.#isLineEmpty = byte === LINE_FEED
    }
    return undefined
  }
}
