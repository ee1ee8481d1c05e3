// The ledger of a run: all publishes, acknowledgements, replies and model calls. Typed arrays store a million requests
// in 60 bytes each.
import type { PartMark } from '../checkers/part-order.ts'

/** Milliseconds since the epoch; 0 = never. */
type Times = Float64Array

/** How a request was published. */
export const KIND = { raw: 0, sdk: 1 } as const

/** A wrong reply that a client received. */
export interface WrongReply {
  /**
   * `crossed` = belongs to another request, `phantom` = belongs to no request, `altered` = differs from the stream
   * that the model server sent, `gap` = a stream with a gap that the SDK did not report.
   */
  readonly kind: 'crossed' | 'phantom' | 'altered' | 'gap'
  readonly atMs: number
  /** Number of the request that the reply belongs to; -1 = no request. */
  readonly number: number
  readonly what: string
}

/** An injected fault. Its times are in milliseconds since the epoch. */
export interface FaultRecord {
  readonly kind: string
  readonly startedAtMs: number
  /** When the actor was released or restarted. */
  readonly endedAtMs: number
  /**
   * Time from the end of the fault to the first answer to a request that was published after the end; undefined if
   * there was no such answer.
   */
  recoveryMs: number | undefined
}

// A broken connector causes a wrong reply for each request; the first wrong replies are enough for a diagnosis.
const WRONG_REPLIES_MAX = 1000
// Higher part numbers are recorded as this number.
const PARTS_MAX = 0xffff
// A connector that repeats everything forever must not exhaust the harness's memory.
const TIMES_MAX = 2_000_000

/** The append-only record of a run. Requests are numbered from 0. */
export class Ledger {
  readonly capacity: number
  readonly publishedAtMs: Times
  readonly expiresAtMs: Times
  /** Time of the broker's PUBACK for the request. */
  readonly pubackAtMs: Times
  /** Time when the broker's PUBACK for the last reply reached the connector. */
  readonly replyTakenAtMs: Times
  readonly repliedAtMs: Times
  readonly kinds: Uint8Array
  readonly pubackCodes: Uint8Array
  /** Number of replies to each request, excluding the broker's redeliveries (DUP). */
  readonly replies: Uint8Array
  readonly redelivered: Uint8Array
  /** Outcome of the first reply, as an index into `outcomes`. */
  readonly firstOutcomes: Uint8Array
  readonly calls: Uint8Array
  /** The number of the next part of a multi-part answer. */
  readonly nextParts: Uint16Array
  /** The number of the final message of a multi-part answer, plus 1; 0 = not received yet. */
  readonly endParts: Uint16Array
  /** When a part of the answer was found to be missing, or to have a higher number than the final message. */
  readonly tornAtMs: Times
  /** 1 = the client's session was lost before the broker's PUBACK for the request arrived. */
  readonly abandoned: Uint8Array
  /** Outcomes: `200`, the code of an error, or `poison` for a request that the connector set aside. */
  readonly outcomes: string[] = ['']
  readonly wrongReplies: WrongReply[] = []
  /** Arrival times of replies beyond the first (excluding redeliveries), in milliseconds since the epoch. */
  readonly duplicateTimes: number[] = []
  /**
   * Report times of model calls beyond the first, in milliseconds since the epoch. A report comes up to 100 ms
   * after the call.
   */
  readonly extraCallTimes: number[] = []
  readonly faults: FaultRecord[] = []
  #count = 0
  answered = 0
  /** Number of messages of multi-part answers, excluding the final ones. */
  parts = 0
  crossed = 0
  phantom = 0
  altered = 0
  gap = 0
  /** Number of streams that the SDK ended with an error because a part was missing. */
  gapsReported = 0

  constructor(capacity: number) {
    this.capacity = capacity
    this.publishedAtMs = new Float64Array(capacity)
    this.expiresAtMs = new Float64Array(capacity)
    this.pubackAtMs = new Float64Array(capacity)
    this.replyTakenAtMs = new Float64Array(capacity)
    this.repliedAtMs = new Float64Array(capacity)
    this.kinds = new Uint8Array(capacity)
    this.pubackCodes = new Uint8Array(capacity)
    this.replies = new Uint8Array(capacity)
    this.redelivered = new Uint8Array(capacity)
    this.firstOutcomes = new Uint8Array(capacity)
    this.calls = new Uint8Array(capacity)
    this.nextParts = new Uint16Array(capacity)
    this.endParts = new Uint16Array(capacity)
    this.tornAtMs = new Float64Array(capacity)
    this.abandoned = new Uint8Array(capacity)
  }

  /** Number of recorded requests. They are numbered from 0 to `count - 1`. */
  get count(): number {
    return this.#count
  }

  published(number: number, kind: number, expirySeconds: number): void {
    const now = Date.now()
    this.publishedAtMs[number] = now
    this.expiresAtMs[number] = now + expirySeconds * 1000
    this.kinds[number] = kind
    this.#count = Math.max(this.#count, number + 1)
  }

  acknowledged(number: number, reasonCode: number): void {
    if (this.pubackAtMs[number] !== 0) return
    this.pubackAtMs[number] = Date.now()
    this.pubackCodes[number] = reasonCode
  }

  abandon(number: number): void {
    this.abandoned[number] = 1
  }

  replyTaken(number: number, atMs: number): void {
    this.replyTakenAtMs[number] = atMs
  }

  /**
   * Records a part of an answer, or its final message. A lower number than before is not a fault: QoS 1 may deliver a
   * part twice, even after the final message, and another process may restart from 0.
   */
  part(number: number, { seq, isFinal, isError }: PartMark): void {
    const end = this.endParts[number]!
    const isBeyond = !isFinal && end !== 0 && seq >= end - 1
    // A missing part number is NaN, which is never in order.
    const isInOrder = seq <= this.nextParts[number]!
    // An error explains an incomplete answer: the broker rejected the missing parts.
    if (isError) this.tornAtMs[number] = 0
    else if ((isBeyond || !isInOrder) && this.tornAtMs[number] === 0) this.tornAtMs[number] = Date.now()
    const next = Math.min((seq || 0) + 1, PARTS_MAX)
    if (isFinal) {
      this.endParts[number] = next
      return
    }
    this.parts += 1
    this.nextParts[number] = next
  }

  /** Records a complete answer. Returns whether it was the first answer to the request. */
  replied(number: number, outcome: string, isRedelivered: boolean): boolean {
    if (isRedelivered) bump(this.redelivered, number)
    if (this.repliedAtMs[number] !== 0) {
      if (!isRedelivered) {
        bump(this.replies, number)
        note(this.duplicateTimes)
      }
      return false
    }
    bump(this.replies, number)
    this.repliedAtMs[number] = Date.now()
    this.firstOutcomes[number] = this.#indexOf(outcome)
    this.answered += 1
    return true
  }

  called(number: number): void {
    if (number >= this.capacity) return
    if (this.calls[number]! > 0) note(this.extraCallTimes)
    bump(this.calls, number)
  }

  wrongReply(wrongReply: WrongReply): void {
    this[wrongReply.kind] += 1
    if (this.wrongReplies.length < WRONG_REPLIES_MAX) this.wrongReplies.push(wrongReply)
  }

  // There are few codes; if a connector sends more than 255, all further codes share the last index.
  #indexOf(outcome: string): number {
    const index = this.outcomes.indexOf(outcome)
    if (index !== -1) return index
    if (this.outcomes.length === 255) return 254
    return this.outcomes.push(outcome) - 1
  }
}

// Increments a count, which stays at 255 instead of wrapping around.
function bump(counts: Uint8Array, number: number): void {
  if (counts[number]! < 255) counts[number]! += 1
}

function note(times: number[]): void {
  if (times.length < TIMES_MAX) times.push(Date.now())
}
