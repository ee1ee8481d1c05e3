// Inspects the head of a response before undici parses it, to handle interim responses (1xx) that undici rejects.

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
// Position of the status digits in "HTTP/1.1 100".
const STATUS_AT = 9
const STATUS_END = 12
const LETTER_H = 0x48
const DIGIT_1 = 0x31
const DIGIT_2 = 0x32

/** Why the connection must be closed: the server switched protocols, or sends endless interim responses. */
export type InterimFault = 'switched' | 'endless'

// Node.js' own limit for the head of a response.
const INTERIM_BYTES_MAX = 16 * 1024

/**
 * Makes undici skip 100 (Continue). RFC 9110 §15.2: a client must be able to parse unexpected interim responses.
 * undici skips all of them except 100, for which it closes the connection; therefore a received 100 is changed to 102.
 */
export class InterimAnswers {
  /** Offset in the current head; -1 = the final response has begun, or none is expected. */
  #at = -1
  #status = ''
  #isLineEmpty = true
  // Bytes of interim responses since the request.
  #bytes = 0

  /** Expects the head of a response in the next bytes, because a request was sent. */
  expect(): void {
    this.#bytes = 0
    this.#expectHead()
  }

  #expectHead(): void {
    this.#at = 0
    this.#status = ''
    this.#isLineEmpty = true
  }

  /** Inspects the next received bytes, and changes a 100 in place. */
  look(chunk: Buffer): InterimFault | undefined {
    // The common case: the first bytes contain the status of the final response.
    if (this.#at === 0 && chunk[0] === LETTER_H && chunk.length > STATUS_AT && chunk[STATUS_AT] !== DIGIT_1) {
      this.#at = -1
    }
    for (let index = 0; index < chunk.length && this.#at !== -1; index += 1) {
      const byte = chunk[index]!
      if (++this.#bytes > INTERIM_BYTES_MAX) return 'endless'
      // Some servers send extra line ends after the previous response.
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
