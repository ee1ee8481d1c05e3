// Keeps the subscriptions of the broker's session in line with the wanted topic filters, across connections.
import { subscribeRefusal, unsubscribeRefusal, type SessionRefusal } from './refusal.ts'

/** The options of the subscriptions. */
export interface SubscriptionOptions {
  /** Topic filters of the requests; shared if `share` is set. */
  readonly filters: readonly string[]
  /** Topic filters that every connector subscribes to with unshared subscriptions. */
  readonly ownFilters: readonly string[]
  /** Name of the shared subscription. */
  readonly share: string | undefined
  /**
   * Called when the broker refused a filter and the session continues without the filter. Not called again for the
   * same filter until the broker has granted it.
   */
  refused(refusal: SessionRefusal, isOwn: boolean): void
  /** Called when the broker refused an UNSUBSCRIBE, which is repeated on the next connection. */
  kept(refusal: SessionRefusal): void
}

/** The parts of a connection that the subscriptions need. Only one call is in flight at a time. */
export interface SubscriptionLink {
  /** Topic filters whose retained messages are wanted on each connection, with QoS 0. @default none */
  readonly retainedFilters?: readonly string[] | undefined
  /** Returns the reason codes. There are fewer codes than filters if the connection ended. */
  subscribe(filters: readonly string[]): Promise<readonly number[]>
  /** Returns the reason codes; none if the connection ended. */
  unsubscribe(filters: readonly string[]): Promise<readonly number[]>
}

interface Waiter {
  readonly filters: readonly string[]
  readonly resolve: () => void
  readonly reject: (reason: Error) => void
}

/** Subscribes and unsubscribes until the broker's session has the wanted filters. Lives as long as the session. */
export class Subscriptions {
  readonly #options: SubscriptionOptions
  #filters: readonly string[]
  // Filters that the session cannot do without: the initial filters, and every filter that the broker has granted
  // before.
  readonly #vital: Set<string>
  // The subscriptions of the broker's session, with their `$share` prefix, as far as this process knows.
  readonly #granted = new Set<string>()
  // Filters of the current list that were refused on this connection; they are not requested again automatically.
  readonly #refused = new Map<string, SessionRefusal>()
  readonly #reported = new Set<string>()
  // Unwanted filters whose UNSUBSCRIBE the broker refused on this connection.
  readonly #kept = new Set<string>()
  readonly #isShared: boolean
  readonly #waiters: Waiter[] = []
  #link: SubscriptionLink | undefined
  #isFirstConnection = true
  #isStopped = false
  #isWorking = false
  #isClosed = false

  constructor(options: SubscriptionOptions) {
    this.#options = options
    this.#isShared = options.share !== undefined
    this.#filters = options.filters
    this.#vital = new Set(options.filters)
  }

  /** The wanted request filters, with the `$share` prefix if they are shared. */
  get names(): readonly string[] {
    return this.#filters.map((filter) => this.#nameOf(filter))
  }

  /**
   * Updates the subscriptions on a new connection. Returns undefined if the broker's session already has all
   * wanted subscriptions. Otherwise returns a promise. It resolves with true when the session has all of them, and
   * with false if the connection ends first. It rejects with a SessionRefusal if the broker refuses a filter that
   * the session needs.
   */
  connected(link: SubscriptionLink, sessionPresent: boolean): Promise<boolean> | undefined {
    this.#link = link
    this.#refused.clear()
    this.#kept.clear()
    if (!sessionPresent) this.#granted.clear()
    else if (this.#isFirstConnection && this.#isShared) {
      // An earlier process without `share` may have left its subscriptions in the session. With these
      // subscriptions, every request would arrive twice.
      for (const filter of this.#filters) this.#granted.add(filter)
    }
    this.#isFirstConnection = false
    // MQTT-3.8.4-3: a SUBSCRIBE for an existing subscription makes the broker send the retained messages again.
    for (const filter of link.retainedFilters ?? []) this.#granted.delete(filter)
    if (this.#missing().length === 0 && this.#surplus().length === 0) {
      this.#settle()
      return undefined
    }
    return this.#work(link, true)
  }

  /** Handles the end of the connection. */
  disconnected(): void {
    this.#link = undefined
    this.#isWorking = false
  }

  /**
   * Replaces the request filters, now or on the next connection. Resolves when the broker's session is subscribed
   * to these filters, or to those of a later call.
   * @throws SessionRefusal if the broker refused one of these filters; the session keeps the others.
   * @throws Error if the session was closed.
   */
  async set(filters: readonly string[]): Promise<void> {
    if (this.#isClosed) throw closed()
    this.#filters = filters
    this.#refused.clear()
    for (const filter of this.#vital) if (!filters.includes(filter)) this.#vital.delete(filter)
    await this.#apply()
  }

  async #apply(): Promise<void> {
    const filters = this.#filters
    const done = new Promise<void>((resolve, reject) => this.#waiters.push({ filters, resolve, reject }))
    if (this.#link !== undefined && !this.#isWorking) void this.#work(this.#link, false)
    await done
  }

  /**
   * Unsubscribes from shared subscriptions, so that the other members take over. Resolves when the broker has sent
   * UNSUBACK.
   */
  async stop(): Promise<void> {
    this.#isStopped = true
    if (!this.#isClosed) await this.#apply().catch(() => {})
  }

  /** Rejects all waiting calls of `set`; no further SUBSCRIBE or UNSUBSCRIBE is sent. */
  close(): void {
    this.#isClosed = true
    this.#link = undefined
    for (const { reject } of this.#waiters.splice(0)) reject(closed())
  }

  // Runs until nothing is left to do or the connection ends. A change during a round is handled in the next round.
  async #work(link: SubscriptionLink, isFirst: boolean): Promise<boolean> {
    this.#isWorking = true
    while (link === this.#link) {
      const missing = this.#missing()
      // SUBSCRIBE is sent before UNSUBSCRIBE, so that no message is missed in between.
      const surplus = missing.length > 0 ? [] : this.#surplus()
      if (missing.length > 0) {
        const codes = await link.subscribe(missing)
        if (link !== this.#link || codes.length < missing.length) return false
        for (const [index, name] of missing.entries()) this.#judge(name, codes[index]!, isFirst)
      } else if (surplus.length > 0) {
        const codes = await link.unsubscribe(surplus)
        if (link !== this.#link || codes.length < surplus.length) return false
        for (const [index, name] of surplus.entries()) this.#unsubscribed(name, codes[index]!)
      } else {
        this.#isWorking = false
        this.#settle()
        return true
      }
    }
    return false
  }

  #judge(name: string, code: number, isFirst: boolean): void {
    const isOwn = this.#options.ownFilters.includes(name)
    const filter = this.#filters.find((filter) => this.#nameOf(filter) === name)
    // With QoS 0 a request could be lost, so request filters need QoS 1. For the filters in `ownFilters`, QoS 0 is
    // enough, because the next message replaces a lost one.
    if (code === 1 || (isOwn && code === 0)) {
      this.#granted.add(name)
      this.#reported.delete(name)
      if (filter !== undefined) this.#vital.add(filter)
      return
    }
    const refusal = subscribeRefusal(name, code)
    if (isFirst && filter !== undefined && this.#vital.has(filter)) throw refusal
    this.#refused.set(name, refusal)
    // QoS 0 is not enough for this filter, so the next round removes the subscription.
    if (code === 0) this.#granted.add(name)
    if (this.#reported.has(name)) return
    this.#reported.add(name)
    this.#options.refused(refusal, isOwn)
  }

  // MQTT 5 §2.4: codes below 0x80 are successes; 0x11 means that no subscription existed.
  #unsubscribed(name: string, code: number): void {
    if (code < 0x80) {
      this.#granted.delete(name)
      return
    }
    this.#kept.add(name)
    this.#options.kept(unsubscribeRefusal(name, code))
  }

  #settle(): void {
    for (const { filters, resolve, reject } of this.#waiters.splice(0)) {
      const names = filters.map((filter) => this.#nameOf(filter))
      const refused = names.find((name) => this.#refused.has(name))
      if (refused === undefined) resolve()
      else reject(this.#refused.get(refused)!)
    }
  }

  #wanted(): readonly string[] {
    const { ownFilters } = this.#options
    const requests = this.#isStopped && this.#isShared ? [] : this.names
    return [...requests, ...ownFilters].filter((name) => !this.#refused.has(name))
  }

  #missing(): readonly string[] {
    return [...new Set(this.#wanted())].filter((name) => !this.#granted.has(name))
  }

  #surplus(): readonly string[] {
    const wanted = new Set(this.#wanted())
    return [...this.#granted].filter((name) => !wanted.has(name) && !this.#kept.has(name))
  }

  #nameOf(filter: string): string {
    return this.#isShared ? `$share/${this.#options.share}/${filter}` : filter
  }
}

function closed(): Error {
  return new Error('The session was closed.')
}
