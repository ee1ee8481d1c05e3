// Publishes the parts of a streamed answer in order, within the byte budget, and waits for their acknowledgements.
import { Problem } from '@inferwire/protocol'
import type { PublishResult, ReplyPart, ReplyTarget } from '../step.ts'
import { refusalOf } from './refused-reply.ts'
import { partReply, type Reply } from './reply.ts'

/** The dependencies of `ReplyParts`. */
export interface PartsOutlet {
  readonly publish: (reply: Reply) => Promise<PublishResult>
  /** The bytes that this process may hold, including unacknowledged parts. */
  readonly budget: { hasRoom(bytes: number): boolean; take(bytes: number): void; give(bytes: number): void }
  /** Called before the first part is published. */
  readonly began: () => void
  /** Called when an endpoint violates its contract, which is a defect in the connector. */
  readonly misused: (what: string) => void
}

// The number of bytes that each part costs in addition to its body, so that the budget also limits how many small parts
// wait for a broker that does not acknowledge them.
const PART_OVERHEAD_BYTES = 1_024

/**
 * The parts of one answer. The endpoint calls `emit` for each part; after the call to the endpoint, `end` waits for the
 * acknowledgements.
 */
export class ReplyParts {
  readonly #outlet: PartsOutlet
  readonly #target: ReplyTarget
  readonly #expirySeconds: number | undefined
  readonly #isRedelivered: boolean
  readonly #stop: (problem: Problem) => void
  #sent = 0
  #unacknowledged = 0
  #problem: Problem | undefined
  /** If set, the next part ends the stream with this problem; see `interrupt`. */
  #interruption: Problem | undefined
  #isOver = false
  #allAcknowledged: (() => void) | undefined

  /** @param stop ends the call with a problem; called at most once, and only before `end` */
  constructor(
    outlet: PartsOutlet,
    target: ReplyTarget,
    request: { readonly expirySeconds: number | undefined; readonly isRedelivered: boolean },
    stop: (problem: Problem) => void,
  ) {
    this.#outlet = outlet
    this.#target = target
    this.#expirySeconds = request.expirySeconds
    this.#isRedelivered = request.isRedelivered
    this.#stop = stop
  }

  /** Number of published parts. */
  get sent(): number {
    return this.#sent
  }

  /** Why the answer is incomplete although the endpoint may have succeeded; undefined if it is complete. */
  get problem(): Problem | undefined {
    return this.#problem
  }

  readonly emit = (part: ReplyPart): void => {
    if (this.#isOver) return this.#outlet.misused('A part of an answer was emitted after the call had ended.')
    if (this.#problem !== undefined) return
    // The client may already have the first parts, so the stream must not silently start again.
    if (this.#isRedelivered) {
      return this.#fail(
        new Problem('stream_interrupted', 'The request was redelivered after its stream had begun.'),
      )
    }
    if (this.#interruption !== undefined) return this.#fail(this.#interruption)
    const bytes = part.body.length + PART_OVERHEAD_BYTES
    const { budget } = this.#outlet
    if (!budget.hasRoom(bytes)) {
      const sentence = 'The broker acknowledges the parts of the answer too slowly.'
      const code = this.#sent === 0 ? 'overloaded' : 'stream_interrupted'
      return this.#fail(new Problem(code, sentence, { retryAfterMs: 1_000 }))
    }
    if (this.#sent === 0) this.#outlet.began()
    budget.take(bytes)
    this.#unacknowledged += 1
    const reply = partReply(this.#target, part, this.#sent, this.#expirySeconds)
    this.#sent += 1
    void this.#outlet.publish(reply).then((result) => {
      budget.give(bytes)
      this.#published(result)
    })
  }

  /** Ends the stream with `problem`, now or at its first part; an answer without parts is not affected. */
  interrupt(problem: Problem): void {
    this.#interruption = problem
    if (this.#sent > 0 && !this.#isOver) this.#fail(problem)
  }

  /**
   * Ends the answer after the call. Resolves when the broker has acknowledged or refused every part, or the session was
   * closed.
   */
  end(): Promise<void> {
    this.#isOver = true
    return new Promise((resolve) => {
      if (this.#unacknowledged === 0) resolve()
      else this.#allAcknowledged = resolve
    })
  }

  #published(result: PublishResult): void {
    this.#unacknowledged -= 1
    const refusal = refusalOf(result)
    if (refusal !== undefined) this.#fail(refusal)
    if (this.#unacknowledged === 0) this.#allAcknowledged?.()
  }

  #fail(problem: Problem): void {
    if (this.#problem !== undefined) return
    this.#problem = problem
    if (!this.#isOver) this.#stop(problem)
  }
}
