// A running request, and the deliveries that wait for its outcome.
import type { Problem } from '@inferwire/protocol'
import type { Deadline, Delivery, Outcome } from '../step.ts'

/** A delivery that receives the outcome of an execution as its reply. */
export interface Requester {
  readonly delivery: Pick<Delivery, 'qos' | 'dup' | 'connection' | 'isLost' | 'redelivery'>
  readonly target: { readonly topic: string }
  /** Whether another requester replies and settles in place of this one. */
  readonly isSuperseded: boolean
  /** Takes over from an earlier requester with the same reply topic. */
  takeOver(earlier: Requester): void
  /** Stops the call that the requester started; the call then ends with this problem. */
  stop(problem: Problem): void
}

interface Joined {
  readonly requester: Requester
  readonly deadline: Deadline
  readonly resolve: (outcome: Outcome | undefined) => void
}

/** A running request. Its repeats wait for its outcome. */
export class Execution {
  readonly key: string
  /**
   * Time of the monotonic clock until which the outcome is remembered. If the request has no expiry, this time is
   * extended when the request ends.
   */
  untilMs: number
  readonly hasExpiry: boolean
  /** The request body, until the request has ended. */
  payload: Buffer
  /** Whether a repeated request has taken over the body. */
  isShared = false
  /** Number of parts that were sent before the answer's last message; 0 for a single-message answer. */
  partsSent = 0
  /** Whether the first part of the answer was sent. */
  hasStreamBegun = false
  /** The delivery that started the execution. */
  owner: Requester | undefined
  /** The next execution in the same bucket. */
  next: Execution | undefined
  /** The time budget of the streamed answer, in milliseconds; undefined before its first part. */
  #streamBudgetMs: number | undefined
  #joined: Joined[] | undefined
  #takenOver: (() => void) | undefined

  constructor(key: string, payload: Buffer, untilMs: number, hasExpiry: boolean) {
    this.key = key
    this.hasExpiry = hasExpiry
    this.payload = payload
    this.untilMs = untilMs
  }

  /**
   * Resolves with the outcome, or with undefined when a later requester has taken over from this one. If a stream has
   * begun and no other requester is left at the deadline, the call is stopped, and its end is the outcome: only then is
   * the number of parts known.
   * @throws the problem of the waiting request's own deadline.
   */
  join(requester: Requester, deadline: Deadline): Promise<Outcome | undefined> {
    return new Promise((resolve, reject) => {
      if (deadline.problem !== undefined) return reject(deadline.problem)
      this.#takeOver(requester)
      if (this.#streamBudgetMs !== undefined) deadline.extend?.(this.#streamBudgetMs)
      const joined: Joined = {
        requester,
        deadline,
        resolve: (outcome) => {
          deadline.waiting = undefined
          resolve(outcome)
        },
      }
      ;(this.#joined ??= []).push(joined)
      deadline.waiting = (problem) => {
        if (this.hasStreamBegun && this.#isOnlyRequester(joined)) return this.owner!.stop(problem)
        this.#remove(joined)
        reject(problem)
      }
    })
  }

  /** Gives the waiting requests the time budget of the stream, whose first part has been sent. */
  streamBegan(budgetMs: number): void {
    this.#streamBudgetMs = budgetMs
    for (const { deadline } of this.#joined ?? []) deadline.extend?.(budgetMs)
  }

  /** Resolves all calls of `join`. */
  end(outcome: Outcome): void {
    const joined = this.#joined
    this.#joined = undefined
    if (joined !== undefined) for (const { resolve } of joined) resolve(outcome)
  }

  /**
   * Defined while the reply must wait, because a requester's connection was lost and the broker may redeliver the
   * request. Resolves when the request can no longer be redelivered.
   */
  get redelivery(): Promise<void> | undefined {
    const owner = this.owner
    if (owner !== undefined && !owner.isSuperseded && owner.delivery.redelivery !== undefined)
      return owner.delivery.redelivery
    return this.#joined?.find(({ requester }) => requester.delivery.redelivery !== undefined)?.requester
      .delivery.redelivery
  }

  /** Resolves at the next takeover. */
  takenOver(): Promise<void> {
    return new Promise((resolve) => (this.#takenOver = resolve))
  }

  #takeOver(requester: Requester): void {
    const { owner } = this
    const joined = this.#joined?.find((each) => isReplaced(each.requester, requester))
    if (joined !== undefined) {
      requester.takeOver(joined.requester)
      this.#remove(joined)
      joined.resolve(undefined)
    } else if (owner !== undefined && isReplaced(owner, requester)) requester.takeOver(owner)
    else return
    this.#takenOver?.()
  }

  #isOnlyRequester(joined: Joined): boolean {
    return this.owner?.isSuperseded === true && this.#joined?.every((each) => each === joined) === true
  }

  #remove(joined: Joined): void {
    const index = this.#joined?.indexOf(joined) ?? -1
    if (index !== -1) this.#joined!.splice(index, 1)
  }
}

// If the broker redelivered the request, on a new connection or on the connection of a lane, one reply is enough.
// Two redeliveries on the same connection need two replies: one redelivery is the original request, the other is a
// repeat that the client published itself.
function isReplaced({ delivery, target, isSuperseded }: Requester, by: Requester): boolean {
  if (isSuperseded || by.delivery.qos === 0 || target.topic !== by.target.topic) return false
  return delivery.isLost || (by.delivery.dup && delivery.connection !== by.delivery.connection)
}
