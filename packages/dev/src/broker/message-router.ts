// Routes published messages to sessions: subscriptions, shared subscriptions and retained messages.
import type { ISubscription } from 'mqtt-packet'
import type { Delivery, Message } from './message.ts'
import { toQos } from './publish-codec.ts'
import { RetainedMessages } from './retained-messages.ts'
import { RetainedSearch } from './retained-search.ts'
import type { Session, Subscription } from './session.ts'
import { TopicTree, treeBytes } from './topic-tree.ts'

const FILTERS_MAX = 10_000
// Limit on the memory that the subscriptions of all sessions may use together.
const SUBSCRIPTION_BYTES_MAX = 256 * 1024 * 1024
const SEND_RETAINED = { always: 0, whenNew: 1 } as const

/** The outcome of a published message. `full` means that there was no room to retain it or to queue it. */
export type PublishOutcome = 'kept' | 'noSubscribers' | 'full'

/** The broker's subscriptions and retained messages. */
export class MessageRouter {
  readonly #subscriptions = new TopicTree<Subscription>()
  readonly #retained: RetainedMessages
  readonly #search: RetainedSearch
  #subscriptionBytes = 0
  #turns = 0

  constructor(log: (line: string) => void) {
    this.#retained = new RetainedMessages(log)
    this.#search = new RetainedSearch(this.#retained, (message, subscription) =>
      subscription.session.deliver({ ...deliveryOf(message, [subscription]), retain: true }),
    )
  }

  /** Delivers a message to every matching subscription, and retains it if its RETAIN flag is set. */
  publish(message: Message): PublishOutcome {
    const isRetained = !message.retain || this.#retained.keep(message)
    const bySession = new Map<Session, Subscription[]>()
    const byShare = new Map<string, Subscription[]>()
    for (const subscription of this.#subscriptions.match(message.topic)) {
      // MQTT 5 [MQTT-3.8.3-3]
      if (subscription.isNoLocal && subscription.session.clientId === message.from) continue
      if (subscription.isShared) {
        // Members without read access are skipped. Otherwise such a member could be chosen, and no member would
        // receive the message.
        if (subscription.session.mayRead(message)) addTo(byShare, subscription.filter, subscription)
      } else addTo(bySession, subscription.session, subscription)
    }
    let keptCount = 0
    for (const [session, subscriptions] of bySession) {
      if (session.deliver(deliveryOf(message, subscriptions))) keptCount += 1
    }
    for (const members of byShare.values()) {
      if (this.#deliverToOne(message, members)) keptCount += 1
    }
    if (!isRetained) return 'full'
    if (keptCount > 0 || message.retain) return 'kept'
    return bySession.size + byShare.size > 0 ? 'full' : 'noSubscribers'
  }

  /**
   * Adds or replaces a subscription. Returns a function that sends the retained messages; the caller must call it
   * after SUBACK. Returns undefined if the session or the broker has reached its subscription limit.
   */
  subscribe(
    session: Session,
    wanted: ISubscription,
    identifier: number | undefined,
  ): (() => void) | undefined {
    const { topic: filter, qos } = wanted
    const isNew = !session.subscriptions.has(filter)
    if (isNew && !this.#hasRoom(session, filter)) return undefined
    this.unsubscribe(session, filter)
    const subscription: Subscription = {
      session,
      filter,
      qos,
      isNoLocal: wanted.nl === true,
      isRetainAsPublished: wanted.rap === true,
      identifier,
      isShared: filter.startsWith('$share/'),
      lastTurn: 0,
    }
    session.subscriptions.set(filter, subscription)
    this.#subscriptions.add(withoutShare(filter), subscription)
    this.#subscriptionBytes += treeBytes(filter)
    // MQTT 5 §3.8.3.1. MQTT 3.1.1 has no Retain Handling: retained messages are always sent.
    const handling = wanted.rh ?? SEND_RETAINED.always
    const isWanted = handling === SEND_RETAINED.always || (handling === SEND_RETAINED.whenNew && isNew)
    // MQTT 5 §4.8.2: no retained messages are sent to a shared subscription.
    if (!isWanted || subscription.isShared) return () => {}
    return () => {
      // A later filter of the same SUBSCRIBE may have replaced the subscription.
      if (session.subscriptions.get(filter) === subscription) this.#search.start(subscription)
    }
  }

  /** Removes a subscription. Returns false if there is none. */
  unsubscribe(session: Session, filter: string): boolean {
    const subscription = session.subscriptions.get(filter)
    if (subscription === undefined) return false
    session.subscriptions.delete(filter)
    this.#subscriptions.delete(withoutShare(filter), subscription)
    this.#subscriptionBytes -= treeBytes(filter)
    this.#search.stop(subscription)
    return true
  }

  /**
   * Removes a session's subscriptions. Delivers the session's unacknowledged messages from shared subscriptions to
   * other members (MQTT 5 §4.8.2).
   */
  remove(session: Session): void {
    for (const filter of session.subscriptions.keys()) this.unsubscribe(session, filter)
    const { sent, waiting } = session.clear()
    // [MQTT-4.8.2-5]: a QoS 2 message that was sent to one member must not be sent to another, because the first
    // member may have processed it.
    for (const { message, share } of [...sent.filter(({ qos }) => qos !== 2), ...waiting]) {
      if (share === undefined) continue
      const members = this.#subscriptions
        .match(message.topic)
        .filter((member) => member.filter === share && member.session.mayRead(message))
      this.#deliverToOne(message, members)
    }
  }

  /** Stops sending retained messages to new subscriptions. */
  close(): void {
    this.#search.stopAll()
  }

  #hasRoom({ subscriptions }: Session, filter: string): boolean {
    return (
      subscriptions.size < FILTERS_MAX &&
      this.#subscriptionBytes + treeBytes(filter) <= SUBSCRIPTION_BYTES_MAX
    )
  }

  // Prefers members that can receive the message at once, and among these members the one that has waited longest
  // since its last message. Returns false if no member accepts the message.
  #deliverToOne(message: Message, members: readonly Subscription[]): boolean {
    const inOrder = members.toSorted((one, other) => rank(one) - rank(other) || one.lastTurn - other.lastTurn)
    for (const member of inOrder) {
      if (!member.session.deliver({ ...deliveryOf(message, [member]), share: member.filter })) continue
      this.#turns += 1
      member.lastTurn = this.#turns
      return true
    }
    return false
  }
}

function rank({ session }: Subscription): number {
  if (session.hasRoom) return 0
  return session.connection === undefined ? 2 : 1
}

// MQTT 5 §3.3.4: a session with overlapping subscriptions receives one copy, with the highest QoS and every
// Subscription Identifier.
function deliveryOf(message: Message, subscriptions: readonly Subscription[]): Delivery {
  const qos = Math.min(message.qos, Math.max(...subscriptions.map((subscription) => subscription.qos)))
  return {
    message,
    qos: toQos(qos),
    retain: message.retain && subscriptions.some(({ isRetainAsPublished }) => isRetainAsPublished),
    subscriptionIdentifiers: subscriptions.flatMap(({ identifier }) => identifier ?? []),
  }
}

function withoutShare(filter: string): string {
  return filter.startsWith('$share/') ? filter.slice(filter.indexOf('/', '$share/'.length) + 1) : filter
}

function addTo<Key, Value>(lists: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else list.push(value)
}
