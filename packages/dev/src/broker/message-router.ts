// From a published message to the sessions that get it: subscriptions, shared subscriptions, retained messages.
import { matchesFilter } from '@inferwire/protocol'
import type { ISubscription } from 'mqtt-packet'
import { isExpired, type Delivery, type Message } from './message.ts'
import { toQos } from './publish-codec.ts'
import type { Session, Subscription } from './session.ts'
import { TopicTree } from './topic-tree.ts'

const RETAINED_MAX = 10_000
const RETAINED_BYTES_MAX = 256 * 1024 * 1024
const SEND_RETAINED = { always: 0, whenNew: 1 } as const

/** See the first line. */
export class MessageRouter {
  readonly #subscriptions = new TopicTree<Subscription>()
  readonly #retained = new Map<string, Message>()
  readonly #log: (line: string) => void
  #retainedBytes = 0
  #turns = 0

  constructor(log: (line: string) => void) {
    this.#log = log
  }

  /** Delivers a message to every matching subscription. False: there is none. */
  publish(message: Message): boolean {
    if (message.retain) this.#keep(message)
    const bySession = new Map<Session, Subscription[]>()
    const byShare = new Map<string, Subscription[]>()
    for (const subscription of this.#subscriptions.match(message.topic)) {
      // MQTT 5 [MQTT-3.8.3-3]
      if (subscription.isNoLocal && subscription.session.clientId === message.from) continue
      if (subscription.isShared) {
        // A member without read access must not take the message from the others.
        if (subscription.session.mayRead(message)) addTo(byShare, subscription.filter, subscription)
      } else addTo(bySession, subscription.session, subscription)
    }
    for (const [session, subscriptions] of bySession) session.deliver(deliveryOf(message, subscriptions))
    for (const members of byShare.values()) this.#deliverToOne(message, members)
    return bySession.size + byShare.size > 0
  }

  /** Adds or replaces a subscription. Call the return value after SUBACK: it sends the retained messages. */
  subscribe(session: Session, wanted: ISubscription, identifier: number | undefined): () => void {
    const { topic: filter, qos } = wanted
    const isNew = !this.unsubscribe(session, filter)
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
    // MQTT 5 §3.8.3.1. MQTT 3.1.1 has no Retain Handling and always sends them.
    const handling = wanted.rh ?? SEND_RETAINED.always
    const isWanted = handling === SEND_RETAINED.always || (handling === SEND_RETAINED.whenNew && isNew)
    // MQTT 5 §4.8.2: none for a shared subscription.
    return isWanted && !subscription.isShared ? () => this.#sendRetained(subscription) : () => {}
  }

  /** False: there is no such subscription. */
  unsubscribe(session: Session, filter: string): boolean {
    const subscription = session.subscriptions.get(filter)
    if (subscription === undefined) return false
    session.subscriptions.delete(filter)
    this.#subscriptions.delete(withoutShare(filter), subscription)
    return true
  }

  /**
   * Ends the subscriptions of a session. Its unacknowledged messages of shared subscriptions go to other members
   * (MQTT 5 §4.8.2).
   */
  remove(session: Session): void {
    for (const filter of session.subscriptions.keys()) this.unsubscribe(session, filter)
    for (const { message, qos, share } of session.clear()) {
      // [MQTT-4.8.2-5]: a QoS 2 message goes to no other member, because it may have been processed already.
      if (share === undefined || qos !== 1) continue
      const members = this.#subscriptions
        .match(message.topic)
        .filter((member) => member.filter === share && member.session.mayRead(message))
      if (members.length > 0) this.#deliverToOne(message, members)
    }
  }

  #keep(message: Message): void {
    const { topic, bytes } = message
    this.#forget(topic)
    if (message.payload.length === 0) return
    if (this.#retained.size >= RETAINED_MAX || this.#retainedBytes + bytes > RETAINED_BYTES_MAX) {
      this.#log(
        `MQTT: ${this.#retained.size} messages with ${this.#retainedBytes} bytes are retained, which is the limit: a further one is delivered, but not retained`,
      )
      return
    }
    this.#retained.set(topic, message)
    this.#retainedBytes += bytes
  }

  #forget(topic: string): void {
    this.#retainedBytes -= this.#retained.get(topic)?.bytes ?? 0
    this.#retained.delete(topic)
  }

  #sendRetained(subscription: Subscription): void {
    const { filter, session } = subscription
    const exact = this.#retained.get(filter)
    // A SUBSCRIBE may have thousands of filters: only those with wildcards search all retained messages.
    const candidates = /[+#]/.test(filter) ? [...this.#retained.values()] : exact === undefined ? [] : [exact]
    for (const message of candidates) {
      if (isExpired(message)) this.#forget(message.topic)
      else if (matchesFilter(filter, message.topic)) {
        session.deliver({ ...deliveryOf(message, [subscription]), retain: true })
      }
    }
  }

  // Members that can receive it at once come first, among them the one whose last message is oldest.
  #deliverToOne(message: Message, members: readonly Subscription[]): void {
    const [chosen] = members.toSorted(
      (one, other) => rank(one) - rank(other) || one.lastTurn - other.lastTurn,
    )
    if (chosen === undefined) return
    this.#turns += 1
    chosen.lastTurn = this.#turns
    chosen.session.deliver({ ...deliveryOf(message, [chosen]), share: chosen.filter })
  }
}

function rank({ session }: Subscription): number {
  if (session.hasRoom) return 0
  return session.connection === undefined ? 2 : 1
}

// MQTT 5 §3.3.4: one copy for overlapping subscriptions, with the highest QoS and every identifier.
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
