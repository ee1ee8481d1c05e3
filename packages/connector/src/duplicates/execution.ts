// A request that runs, and everyone who waits for its outcome.
import type { Deadline, Delivery, Outcome } from '../step.ts'

/** A delivery that gets an execution's outcome as its reply. */
export interface Requester {
  readonly delivery: Pick<Delivery, 'isLost' | 'redelivery'>
  readonly target: { readonly topic: string }
  /** Another delivery of the same request owes the reply in its place. */
  isSuperseded: boolean
}

/** A request that runs. Its repetitions wait for its outcome. */
export class Execution {
  readonly key: string
  /** Monotonic clock: until then its outcome is worth remembering. Without an expiry, the end of the request moves it on. */
  untilMs: number
  readonly hasExpiry: boolean
  /** The request's body, until the request has ended. */
  payload: Buffer
  /** Parts of the answer that went out before its last message; 0 = it has one message. */
  partsSent = 0
  /** The next one in its bucket. */
  next: Execution | undefined
  #waiting: ((outcome: Outcome) => void)[] | undefined
  #requester: Requester | undefined
  #joined: Requester[] | undefined
  #superseded: (() => void) | undefined

  constructor(key: string, payload: Buffer, untilMs: number, hasExpiry: boolean) {
    this.key = key
    this.hasExpiry = hasExpiry
    this.payload = payload
    this.untilMs = untilMs
  }

  /**
   * Takes note of a delivery that will get the outcome. It takes over the duty of one with the same reply topic that is
   * lost: the broker delivered that request again, or the client repeated it, and one reply is enough.
   */
  enter(requester: Requester): void {
    if (this.#requester === undefined) {
      this.#requester = requester
      return
    }
    const isReplaced = ({ delivery, target, isSuperseded }: Requester): boolean =>
      delivery.isLost && !isSuperseded && target.topic === requester.target.topic
    const replaced = [this.#requester, ...(this.#joined ?? [])].find(isReplaced)
    ;(this.#joined ??= []).push(requester)
    if (replaced === undefined) return
    replaced.isSuperseded = true
    this.#superseded?.()
  }

  /**
   * Undefined: the outcome may be published now. Else a delivery was lost and may be redelivered: resolves when another
   * one has taken over its duty, or when the broker must have redelivered it.
   */
  takenOver(): Promise<void> | undefined {
    const redelivery = this.#lostRedelivery()
    if (redelivery === undefined) return undefined
    const superseded = new Promise<void>((resolve) => (this.#superseded = resolve))
    return Promise.race([redelivery, superseded])
  }

  /** The delivery gets another outcome, its own. */
  leave(requester: Requester): void {
    const index = this.#joined?.indexOf(requester) ?? -1
    if (index !== -1) this.#joined!.splice(index, 1)
  }

  #lostRedelivery(): Promise<void> | undefined {
    const first = this.#requester
    if (first !== undefined && !first.isSuperseded && first.delivery.redelivery !== undefined)
      return first.delivery.redelivery
    return this.#joined?.find(
      ({ isSuperseded, delivery }) => !isSuperseded && delivery.redelivery !== undefined,
    )?.delivery.redelivery
  }

  /** Tells the outcome to everybody who waits. */
  end(outcome: Outcome): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting !== undefined) for (const tell of waiting) tell(outcome)
  }

  /** Resolves with the outcome. @throws the problem of the waiting request's own deadline. */
  wait(deadline: Deadline): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      if (deadline.problem !== undefined) return reject(deadline.problem)
      const tell = (outcome: Outcome): void => {
        deadline.waiting = undefined
        resolve(outcome)
      }
      ;(this.#waiting ??= []).push(tell)
      deadline.waiting = (problem) => {
        const index = this.#waiting?.indexOf(tell) ?? -1
        if (index !== -1) this.#waiting!.splice(index, 1)
        reject(problem)
      }
    })
  }
}
