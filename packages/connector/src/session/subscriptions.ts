// Keeps what the broker's session is subscribed to in step with the wanted topic filters, over changes and connections.
import { subscribeRefusal, unsubscribeRefusal, type SessionRefusal } from './refusal.ts'

/** What is wanted from the start. */
export interface SubscriptionOptions {
  /** Topic filters of requests; shared where `share` is set. */
  readonly filters: readonly string[]
  /** Topic filters that every connector subscribes for itself. */
  readonly ownFilters: readonly string[]
  /** Name of the shared subscription. */
  readonly share: string | undefined
  /** A filter was refused, and the session goes on without. Called once for each filter until it is granted. */
  refused(refusal: SessionRefusal, isOwn: boolean): void
  /** The broker did not end a subscription; it is asked again on the next connection. */
  kept(refusal: SessionRefusal): void
}

/** The live connection, as far as it is needed here. Only one of its calls is under way at a time. */
export interface SubscriptionLink {
  /** Topic filters whose retained messages are wanted on each connection, with QoS 0. @default none */
  readonly retainedFilters?: readonly string[] | undefined
  /** Returns the reason codes; fewer than filters when the connection ended. */
  subscribe(filters: readonly string[]): Promise<readonly number[]>
  /** Returns the reason codes; none when the connection ended. */
  unsubscribe(filters: readonly string[]): Promise<readonly number[]>
}

interface Waiter {
  readonly filters: readonly string[]
  readonly resolve: () => void
  readonly reject: (reason: Error) => void
}

/** See the file's first line. One instance lives as long as the session; the newest list wins. */
export class Subscriptions {
  readonly #options: SubscriptionOptions
  #filters: readonly string[]
  // Filters that the session cannot do without: those of the start, and those that were granted once.
  readonly #vital: Set<string>
  // As the broker's session holds them, `$share` included, as far as this process knows.
  readonly #granted = new Set<string>()
  // Of this connection and the present list: not tried again by itself.
  readonly #refused = new Map<string, SessionRefusal>()
  readonly #told = new Set<string>()
  // Not wanted, and the broker did not end them; of this connection.
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

  /** The wanted filters of requests, as they are subscribed to on this connection. */
  get names(): readonly string[] {
    return this.#filters.map((filter) => this.#nameOf(filter))
  }

  /**
   * A connection is up. Undefined: the broker's session holds all that is wanted already; else a promise that resolves
   * with true when it does, and with false when the connection ended before.
   * @throws SessionRefusal of a filter that is vital, by rejection.
   */
  connected(link: SubscriptionLink, sessionPresent: boolean): Promise<boolean> | undefined {
    this.#link = link
    this.#refused.clear()
    this.#kept.clear()
    if (!sessionPresent) this.#granted.clear()
    else if (this.#isFirstConnection && this.#isShared) {
      // A predecessor that worked alone left its subscriptions in the session: we would get every request twice.
      for (const filter of this.#filters) this.#granted.add(filter)
    }
    this.#isFirstConnection = false
    // MQTT-3.8.4-3: a SUBSCRIBE for a subscription that is there sends the retained messages again.
    for (const filter of link.retainedFilters ?? []) this.#granted.delete(filter)
    if (this.#missing().length === 0 && this.#surplus().length === 0) {
      this.#settle()
      return undefined
    }
    return this.#work(link, true)
  }

  /** The connection is gone. */
  disconnected(): void {
    this.#link = undefined
    this.#isWorking = false
  }

  /**
   * Replaces the filters of requests, now or with the next connection. Resolves when the broker's session is subscribed
   * to them, or to a later list.
   * @throws SessionRefusal when the broker refused one of them; the session keeps the others. Error when it was closed.
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

  /** Gives up shared subscriptions, so that other members take over. Resolves when the broker confirmed. */
  async stop(): Promise<void> {
    this.#isStopped = true
    if (!this.#isClosed) await this.#apply().catch(() => {})
  }

  /** Nothing more will be done. */
  close(): void {
    this.#isClosed = true
    this.#link = undefined
    for (const { reject } of this.#waiters.splice(0)) reject(closed())
  }

  // Until nothing is to be done, or the connection is over. What changes meanwhile is seen in the next round.
  async #work(link: SubscriptionLink, isFirst: boolean): Promise<boolean> {
    this.#isWorking = true
    while (link === this.#link) {
      const missing = this.#missing()
      // New ones first, so that nothing falls between.
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
    // With QoS 0 a request would be lost; of what is the connector's own the next message counts.
    if (code === 1 || (isOwn && code === 0)) {
      this.#granted.add(name)
      this.#told.delete(name)
      if (filter !== undefined) this.#vital.add(filter)
      return
    }
    const refusal = subscribeRefusal(name, code)
    if (isFirst && filter !== undefined && this.#vital.has(filter)) throw refusal
    this.#refused.set(name, refusal)
    // Granted with too little: given back in the next round.
    if (code === 0) this.#granted.add(name)
    if (this.#told.has(name)) return
    this.#told.add(name)
    this.#options.refused(refusal, isOwn)
  }

  // MQTT 5 §2.4: below 0x80 it is a success; there may have been none (0x11).
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
