// Sends retained messages to new subscriptions. One SUBSCRIBE may have thousands of filters, and for each filter
// thousands of messages may be visited. The search is therefore split into short steps, which alternate between
// clients.
import type { Message } from './message.ts'
import type { RetainedMessages } from './retained-messages.ts'
import type { Session, Subscription } from './session.ts'

type Search = Generator<Message | undefined, void>

// Number of steps between two pauses. This many steps take a few milliseconds.
const STEPS_MAX = 20_000

/** The searches for retained messages that are in progress. */
export class RetainedSearch {
  readonly #retained: RetainedMessages
  readonly #deliver: (message: Message, subscription: Subscription) => void
  // Contains at most one search per subscription.
  readonly #searches = new Map<Session, Map<Subscription, Search>>()
  #isWaiting = false

  constructor(retained: RetainedMessages, deliver: (message: Message, subscription: Subscription) => void) {
    this.#retained = retained
    this.#deliver = deliver
  }

  /** Starts a search. Sends its first messages immediately, unless other searches are in progress. */
  start(subscription: Subscription): void {
    const { session, filter } = subscription
    const searches = this.#searches.get(session) ?? new Map<Subscription, Search>()
    searches.set(subscription, this.#retained.matchedBy(filter))
    this.#searches.set(session, searches)
    if (!this.#isWaiting) this.#continue()
  }

  /** Stops a search. Does nothing if it has finished. */
  stop(subscription: Subscription): void {
    const searches = this.#searches.get(subscription.session)
    searches?.delete(subscription)
    if (searches?.size === 0) this.#searches.delete(subscription.session)
  }

  /** Stops all searches. */
  stopAll(): void {
    this.#searches.clear()
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
      // Moves the client to the end, so that the next client is served first.
      if (this.#searches.delete(session)) this.#searches.set(session, searches)
      setImmediate(() => this.#continue())
      this.#isWaiting = true
      return
    }
    this.#isWaiting = false
  }

  // Returns the number of remaining steps; 0 = the search continues later.
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
