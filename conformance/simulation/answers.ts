// Records the answers of one connector process: complete answers, their parts, and whether the broker accepted them.
import { PartOrder, type Attempt, type PartMark } from '../checkers/part-order.ts'

/** A reply that the process publishes. */
export interface PublishedReply {
  readonly key: string
  readonly connection: number
  readonly dup: boolean
  readonly mark: PartMark | undefined
  readonly content: string | undefined
}

/** A reply that the broker has not acknowledged. */
export interface OpenReply {
  readonly key: string
  readonly code: string | undefined
  readonly mark: PartMark | undefined
  readonly attempt: Attempt | undefined
}

/** The answers of one process. Like that process, it knows nothing of earlier processes. */
export class Answers {
  readonly #broken: (rule: string, what: string) => void
  readonly #parts: PartOrder
  // By key: when the last complete answer was acknowledged, and how often an answer was rejected.
  readonly #answeredMs = new Map<string, number>()
  readonly #refused = new Map<string, number>()
  // For each key, the number of deliveries for which no final message has been published.
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

  /** Records a reply; returns its attempt if it belongs to a multi-part answer. */
  published({ key, connection, dup, mark, content = '' }: PublishedReply): Attempt | undefined {
    const unanswered = this.#unansweredOf(key)
    let attempt: Attempt | undefined
    if (mark !== undefined) {
      attempt = this.#parts.sent({ ...mark, key, content, connection, mayBegin: unanswered > 0 })
      // An answer that an earlier process began must end with an error, because the requester may have parts of it.
      if (!mark.isFinal && !this.#fresh.has(key)) {
        this.#broken(
          'stream-restart',
          `parts of the answer to ${key}, which this process received only as a redelivery`,
        )
      }
    }
    if (!dup && mark?.isFinal !== false) this.#unanswered.set(key, Math.max(0, unanswered - 1))
    return attempt
  }

  /** Records the broker's PUBACK. An answer that the broker rejects may be replaced by an error about its size. */
  acknowledged({ key, mark, attempt, code }: OpenReply, reasonCode: number, atMs: number): void {
    const isRefused = reasonCode >= 0x80
    const isWhole =
      mark === undefined || attempt === undefined || this.#parts.acknowledged(attempt, mark, isRefused) > 0
    if (!isRefused && isWhole) this.#answeredMs.set(key, atMs)
    if (isRefused && mark?.isFinal !== false) {
      this.#refused.set(key, (this.#refused.get(key) ?? 0) + (code === 'response_too_large' ? 2 : 1))
    }
  }

  /** Returns whether a delivery that first arrived at `seenMs` has been answered. */
  isAnsweredSince(key: string, seenMs: number): boolean {
    // Two rejections: the broker rejected both the answer and the error that replaced it.
    return (this.#answeredMs.get(key) ?? -1) >= seenMs || (this.#refused.get(key) ?? 0) >= 2
  }

  #unansweredOf(key: string): number {
    return this.#unanswered.get(key) ?? 0
  }
}
