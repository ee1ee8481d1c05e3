// Sends retained messages to new subscriptions. One SUBSCRIBE may have thousands of filters that each visit thousands
// of messages, so the search stops in between for other work, and clients have their turns.
import type { Message } from './message.ts'
import type { RetainedMessages } from './retained-messages.ts'
import type { Session, Subscription } from './session.ts'

type Search = Generator<Message | undefined, void>

// Some milliseconds.
const STEPS_MAX = 20_000

/** See the first two lines. */
export class RetainedSearch {
  readonly #retained: RetainedMessages
  readonly #deliver: (message: Message, subscription: Subscription) => void
  // There are at most as many as subscriptions.
  readonly #searches = new Map<Session, Map<Subscription, Search>>()
  #isWaiting = false

  constructor(retained: RetainedMessages, deliver: (message: Message, subscription: Subscription) => void) {
    this.#retained = retained
    this.#deliver = deliver
  }

  /** Sends the first messages now. */
  start(subscription: Subscription): void {
    const { session, filter } = subscription
    const searches = this.#searches.get(session) ?? new Map<Subscription, Search>()
    searches.set(subscription, this.#retained.matchedBy(filter))
    this.#searches.set(session, searches)
    if (!this.#isWaiting) this.#continue()
  }

  /** Does nothing when it is over. */
  stop(subscription: Subscription): void {
    const searches = this.#searches.get(subscription.session)
    searches?.delete(subscription)
    if (searches?.size === 0) this.#searches.delete(subscription.session)
  }

  #continue(): void {
    let stepsLeft = STEPS_MAX
    for (const [session, searches] of this.#searches) {
      for (const [subscription, search] of searches) {
        stepsLeft = this.#advance(subscription, search, stepsLeft)
        if (stepsLeft === 0) break
        this.stop(subscription)
      }
      if (stepsLeft > 0) continue
      // To the end: the next client has its turn.
      if (this.#searches.delete(session)) this.#searches.set(session, searches)
      setImmediate(() => this.#continue())
      this.#isWaiting = true
      return
    }
    this.#isWaiting = false
  }

  // Returns how many steps are left; 0: it goes on later.
  #advance(subscription: Subscription, search: Search, stepsMax: number): number {
    const { session, filter } = subscription
    for (let left = stepsMax; left > 0; left--) {
      const step = search.next()
      // The last delivery may have ended the session.
      if (step.done === true || session.subscriptions.get(filter) !== subscription) return left
      if (step.value !== undefined) this.#deliver(step.value, subscription)
    }
    return 0
  }
}
