// Checks multi-part answers: `seq` is 0, 1, 2, … in order, one final message has the next number, and nothing follows.

/** The user properties of one part of an answer. */
export interface PartMark {
  /** Number of the part; NaN = missing, or not a decimal number. */
  readonly seq: number
  readonly isFinal: boolean
  /** Whether the message is a final message with an error. Parts that the broker rejected may then be missing. */
  readonly isError: boolean
}

/**
 * Reads the user properties of a reply; returns undefined for a single-message answer, and for a final error without a
 * number: if an earlier process began the stream, the process that ends it does not know the number.
 */
export function toPartMark(
  seq: string | undefined,
  final: string | undefined,
  status: string | undefined,
): PartMark | undefined {
  if (seq === undefined && final === undefined) return undefined
  const isFinal = final === 'true'
  const isError = isFinal && status?.startsWith('2') !== true
  if (seq === undefined && isError) return undefined
  const isNumber = /^(0|[1-9]\d{0,9})$/.test(seq ?? '')
  return { seq: isNumber ? Number(seq) : NaN, isFinal, isError }
}

/** A message of a multi-part answer, as the connector sends it. */
export interface SentPart extends PartMark {
  /** Identifies the answer; contains, for example, the reply topic and the Correlation Data. */
  readonly key: string
  /** The payload of a final message, or a hash of it: a repeated final message must be the same. */
  readonly content: string
  readonly connection: number
  /** Whether a delivered request with this key has no final message yet, so that the answer may restart from 0. */
  readonly mayBegin: boolean
}

/** The rules that `PartOrder` checks. */
export type PartRule = 'part-order' | 'part-after-final'

/** One attempt at an answer. */
export interface Attempt {
  connection: number
  next: number
  /** `seq` of the final message; undefined until that message is sent. */
  end: number | undefined
  content: string
  isEndRefused: boolean
  /** Description of the first gap, which is a violation unless the final message is an error. */
  gap: string | undefined
  /** The first missing number of the first gap. */
  gapFrom: number
  /** Parts that the broker has not acknowledged. There are at most as many as its Receive Maximum. */
  readonly unacknowledged: Set<number>
  /** Number of final messages that the broker has acknowledged while a part was still unacknowledged. */
  early: number
}

// Maximum number of stored attempts at multi-part answers; above this number, the oldest is removed.
const ATTEMPTS_MAX = 10_000

/** Checks the answers of one connector across all of its connections. */
export class PartOrder {
  readonly #attempts = new Map<string, Attempt>()
  readonly #broken: (rule: PartRule, what: string) => void

  constructor(broken: (rule: PartRule, what: string) => void) {
    this.#broken = broken
  }

  /** Records a sent message; returns the attempt that it belongs to. */
  sent(part: SentPart): Attempt {
    const attempt = this.#attempts.get(part.key)
    if (attempt === undefined || begins(attempt, part)) return this.#begin(part)
    if (attempt.connection !== part.connection) this.#resume(attempt, part)
    else this.#follow(attempt, part)
    return attempt
  }

  /**
   * Records the broker's acknowledgement. Returns how many answers this completes: an answer is complete when its final
   * message and all parts are acknowledged.
   */
  acknowledged(attempt: Attempt, { seq, isFinal }: PartMark, isRefused = false): number {
    if (isFinal) {
      attempt.early += 1
      if (isRefused && attempt.end === seq) attempt.isEndRefused = true
    } else attempt.unacknowledged.delete(seq)
    if (attempt.unacknowledged.size > 0) return 0
    const completed = attempt.early
    attempt.early = 0
    return completed
  }

  /** Returns whether parts were sent on this connection without a final message. */
  isUnfinished(key: string, connection: number): boolean {
    const attempt = this.#attempts.get(key)
    return attempt !== undefined && attempt.connection === connection && attempt.end === undefined
  }

  #begin(part: SentPart): Attempt {
    this.#attempts.delete(part.key)
    const [oldest] = this.#attempts.keys()
    if (oldest !== undefined && this.#attempts.size >= ATTEMPTS_MAX) this.#attempts.delete(oldest)
    const attempt: Attempt = {
      connection: part.connection,
      next: 0,
      end: undefined,
      content: '',
      isEndRefused: false,
      gap: undefined,
      gapFrom: 0,
      unacknowledged: new Set(),
      early: 0,
    }
    this.#attempts.set(part.key, attempt)
    this.#follow(attempt, part)
    return attempt
  }

  #follow(attempt: Attempt, part: SentPart): void {
    const { seq, isFinal, isError, content } = part
    if (attempt.end !== undefined) return this.#followEnded(attempt, part, attempt.end)
    if (seq !== attempt.next) this.#outOfOrder(attempt, part)
    // Continues from the sent number, so that one gap is only one violation.
    attempt.next = Number.isNaN(seq) ? attempt.next + 1 : seq + 1
    if (isFinal) {
      if (attempt.gap !== undefined && !isError) this.#broken('part-order', attempt.gap)
      // Parts that were never resent will never be acknowledged.
      if (attempt.gap !== undefined && isError) {
        for (const missing of attempt.unacknowledged)
          if (missing >= attempt.gapFrom) attempt.unacknowledged.delete(missing)
      }
      attempt.gap = undefined
      attempt.end = seq
      attempt.content = content
    } else attempt.unacknowledged.add(seq)
  }

  #outOfOrder(attempt: Attempt, part: SentPart): void {
    const what = `${name(part)}, expected ${attempt.next}.`
    if (part.seq > attempt.next) {
      if (attempt.gap === undefined) attempt.gapFrom = attempt.next
      attempt.gap ??= what
    } else this.#broken('part-order', what)
  }

  // A redelivery that joined the call also receives the final message. An error replaces a rejected final message.
  #followEnded(attempt: Attempt, part: SentPart, end: number): void {
    const isRepeated = part.isFinal && part.seq === end
    if (!isRepeated) {
      return this.#broken('part-after-final', `${name(part)} was sent after the final message, ${end}.`)
    }
    if (part.content !== attempt.content && !attempt.isEndRefused) {
      this.#broken('part-after-final', `${name(part)} differs from the earlier final message.`)
    }
    attempt.content = part.content
    attempt.isEndRefused = false
  }

  // MQTT 5 §4.4: unacknowledged messages are resent first, in order. The connector may not have received all of the
  // acknowledgements that were recorded here, so it may resend earlier parts as well, but it must not leave a gap.
  #resume(attempt: Attempt, part: SentPart): void {
    attempt.connection = part.connection
    const first = Math.min(...attempt.unacknowledged, attempt.end ?? attempt.next)
    if (part.seq <= first) {
      attempt.next = part.seq
      if (!part.isFinal) attempt.end = undefined
    } else if (attempt.end === undefined) attempt.next = first
    this.#follow(attempt, part)
  }
}

// A later connection may belong to a new process, which has no state of the earlier attempt. If the first parts
// of an attempt are missing, the attempt's final message must be an error.
function begins(
  attempt: Attempt,
  { seq, isFinal, isError, content, connection, mayBegin }: SentPart,
): boolean {
  const isElsewhere = attempt.connection !== connection
  if (isElsewhere && seq === 0) return true
  const isRepeated = isFinal && seq === attempt.end && (!isError || content === attempt.content)
  return attempt.end !== undefined && mayBegin && !isRepeated && (isError || !isElsewhere)
}

function name({ key, seq, isFinal }: SentPart): string {
  return `${isFinal ? 'Final message' : 'Part'} ${seq} of the answer "${key}"`
}
