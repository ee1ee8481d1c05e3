// The answers of one connector process: complete answers, their parts, and which of them the broker accepted.
import { PartOrder, type Attempt, type PartMark } from '../checkers/part-order.ts'

/** A reply as the process publishes it. */
export interface PublishedReply {
  readonly key: string
  readonly connection: number
  readonly dup: boolean
  readonly mark: PartMark | undefined
  readonly content: string | undefined
}

/** Number of its messages that the broker has not acknowledged. */
export interface OpenReply {
  readonly key: string
  readonly code: string | undefined
  readonly mark: PartMark | undefined
  readonly attempt: Attempt | undefined
}

/** Has no knowledge of earlier processes, like the process itself. */
export class Answers {
  readonly #broken: (rule: string, what: string) => void
  readonly #parts: PartOrder
  // When the last complete answer to each key was acknowledged, and how often one was rejected.
  readonly #answeredMs = new Map<string, number>()
  readonly #refused = new Map<string, number>()
  // Number of deliveries of each key without a final message.
  readonly #unanswered = new Map<string, number>()
  // Keys that were delivered without DUP.
  readonly #fresh = new Set<string>()

  constructor(broken: (rule: string, what: string) => void) {
    this.#broken = broken
    this.#parts = new PartOrder(broken)
  }

  delivered(key: string, dup: boolean): void {
    this.#unanswered.set(key, this.#unansweredOf(key) + 1)
    if (!dup) this.#fresh.add(key)
  }

  /** Records a reply; returns the attempt at an answer in parts that it belongs to. */
  published({ key, connection, dup, mark, content = '' }: PublishedReply): Attempt | undefined {
    const unanswered = this.#unansweredOf(key)
    let attempt: Attempt | undefined
    if (mark !== undefined) {
      attempt = this.#parts.sent({ ...mark, key, content, connection, mayBegin: unanswered > 0 })
      // An answer that an earlier process began must end with an error: the requester may have parts of it.
      if (!mark.isFinal && !this.#fresh.has(key)) {
        this.#broken('stream-restart', `parts of the answer to ${key}, which was only ever redelivered here`)
      }
    }
    if (!dup && mark?.isFinal !== false) this.#unanswered.set(key, Math.max(0, unanswered - 1))
    return attempt
  }

  /** Records the broker's PUBACK. An error about the size of an answer replaces the rejected answer. */
  acknowledged({ key, mark, attempt, code }: OpenReply, reasonCode: number, atMs: number): void {
    const isRefused = reasonCode >= 0x80
    const isWhole =
      mark === undefined || attempt === undefined || this.#parts.acknowledged(attempt, mark, isRefused) > 0
    if (!isRefused && isWhole) this.#answeredMs.set(key, atMs)
    if (isRefused && mark?.isFinal !== false) {
      this.#refused.set(key, (this.#refused.get(key) ?? 0) + (code === 'response_too_large' ? 2 : 1))
    }
  }

  /** Whether a delivery that was first seen at this time is answered. */
  isAnsweredSince(key: string, seenMs: number): boolean {
    // The broker rejected both the answer and the error in its place.
    return (this.#answeredMs.get(key) ?? -1) >= seenMs || (this.#refused.get(key) ?? 0) >= 2
  }

  #unansweredOf(key: string): number {
    return this.#unanswered.get(key) ?? 0
  }
}
