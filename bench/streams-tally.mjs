// Counts the parts of the streams of `npm run bench:streams`, and measures how long each part took to arrive.
import { latencyFigures } from './statistics.mjs'

/** The parts of all streams of a client. */
export class StreamTally {
  #lost = 0
  #repeated = 0
  #finished = 0
  #errors = 0
  #firstError
  #latencies = []
  // The measured time. Comparisons with undefined are false, so nothing is measured before `begin`.
  /** @type {bigint | undefined} */
  #fromNs
  /** @type {bigint | undefined} */
  #toNs

  /** Starts the measured time. */
  begin() {
    this.#fromNs = process.hrtime.bigint()
  }

  /** Ends the measured time. Parts that were sent in this time may still arrive. */
  end() {
    this.#toNs = process.hrtime.bigint()
  }

  /** Returns the number of parts that were sent in the measured time, and their latencies in milliseconds. */
  get figures() {
    return { parts: this.#latencies.length, ...latencyFigures(this.#latencies) }
  }

  /** The counts of the whole run. `firstError` is undefined if there were no errors. */
  get counts() {
    return {
      lost: this.#lost,
      repeated: this.#repeated,
      finished: this.#finished,
      errors: this.#errors,
      firstError: this.#firstError,
    }
  }

  /** Starts to check a stream. @param {number} tokens number of parts that the stream must have */
  open(tokens) {
    let next = 0
    return {
      /**
       * @param {number} seq the number that the part has in its stream
       * @param {string} chunk the body
       * @param {bigint} receivedNs the time of its arrival, on the monotonic clock
       */
      part: (seq, chunk, receivedNs) => {
        const { number, sent_ns: sentNs } = JSON.parse(chunk)
        if (number !== seq) this.fail(`part ${seq} contains chunk ${number}`)
        if (seq < next) return void (this.#repeated += 1)
        this.#lost += seq - next
        next = seq + 1
        this.#measure(BigInt(sentNs), receivedNs)
      },
      end: () => {
        this.#lost += tokens - next
        this.#finished += 1
      },
    }
  }

  /** Counts an error. */
  fail(message) {
    this.#errors += 1
    this.#firstError ??= message
  }

  /**
   * @param {bigint} sentNs
   * @param {bigint} receivedNs
   */
  #measure(sentNs, receivedNs) {
    const isMeasured = this.#fromNs <= sentNs && (this.#toNs === undefined || sentNs < this.#toNs)
    if (isMeasured) this.#latencies.push(Number(receivedNs - sentNs) / 1e6)
  }
}
