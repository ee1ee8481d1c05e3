// Collects the retained model cards and connector statuses.
import { readCard, readStatus, type ConnectorStatus, type ReceivedCard } from '@inferwire/protocol'
import { delay } from './delay.ts'
import type { Message } from './transport.ts'

/** Time limits for collecting retained messages. */
export interface RetainedOptions {
  /** Longest wait, in milliseconds. @default 5000 */
  readonly timeoutMs?: number | undefined
  /** Time without a further message after which the list is considered complete, in milliseconds. @default 200 */
  readonly settleMs?: number | undefined
}

/** The options of `models()` and `model()`. */
export interface ModelsOptions extends RetainedOptions {
  /** Called at the end for each retained message that is not a valid card, with the model's name and the reason. */
  readonly onUnreadable?: ((name: string, mistake: string) => void) | undefined
}

/** A source of retained messages: `subscribe` resolves after the SUBACK, with a function that unsubscribes. */
export interface RetainedSource {
  subscribe(onMessage: (message: Message) => void): Promise<() => Promise<void>>
}

/** Default of `RetainedOptions.timeoutMs`. */
export const RETAINED_TIMEOUT_DEFAULT_MS = 5_000
const SETTLE_DEFAULT_MS = 200
// Limits on the memory that a collection may use; messages beyond these limits are skipped.
const CARDS_MAX = 10_000
const STATUSES_MAX = 1_000

/** Returns all cards of the source, sorted by name. `isEnough` ends the wait early. */
export async function collectCards(
  source: RetainedSource,
  options: ModelsOptions,
  isEnough: (cards: ReadonlyMap<string, ReceivedCard>) => boolean = () => false,
): Promise<ReceivedCard[]> {
  const cards = new Map<string, ReceivedCard>()
  const mistakes = new Map<string, string>()
  await collect(source, options, (name, payload) => {
    cards.delete(name)
    mistakes.delete(name)
    // An empty message clears a card.
    if (payload.length === 0 || cards.size + mistakes.size >= CARDS_MAX) return false
    const { card, mistake } = readCard(name, payload)
    if (card === undefined) mistakes.set(name, mistake)
    else cards.set(name, card)
    return isEnough(cards)
  })
  for (const [name, mistake] of mistakes) options.onUnreadable?.(name, mistake)
  return [...cards.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Returns all readable statuses of the source, sorted by the connector's name. */
export async function collectStatuses(
  source: RetainedSource,
  options: RetainedOptions,
): Promise<ConnectorStatus[]> {
  const statuses = new Map<string, ConnectorStatus>()
  await collect(source, options, (connector, payload) => {
    statuses.delete(connector)
    const status = payload.length === 0 ? undefined : readStatus(connector, payload)
    if (status !== undefined && statuses.size < STATUSES_MAX) statuses.set(connector, status)
    return false
  })
  return [...statuses.values()].sort((a, b) => (a.connector < b.connector ? -1 : 1))
}

// MQTT does not mark the last retained message, so a pause ends the collection. The collection also ends when
// `read` returns true.
async function collect(
  source: RetainedSource,
  { timeoutMs = RETAINED_TIMEOUT_DEFAULT_MS, settleMs = SETTLE_DEFAULT_MS }: RetainedOptions,
  read: (name: string, payload: Uint8Array) => boolean,
): Promise<void> {
  const enough = new AbortController()
  let lastAt = 0
  const stop = await source.subscribe(({ topic, payload }) => {
    lastAt = performance.now()
    if (read(topic.slice(topic.lastIndexOf('/') + 1), payload)) enough.abort()
  })
  const startedAt = performance.now()
  lastAt = Math.max(lastAt, startedAt)
  for (;;) {
    const now = performance.now()
    const leftMs = Math.min(lastAt + settleMs, startedAt + timeoutMs) - now
    if (leftMs <= 0 || enough.signal.aborted) break
    await delay(leftMs, enough.signal)
  }
  await stop()
}
