// Collects the retained model cards. MQTT does not mark the last retained message, so a pause ends the collection.
import { readCard, type ReceivedCard } from '@inferwire/protocol'
import { delay } from './delay.ts'
import type { Message } from './transport.ts'

/** How long to wait for cards. */
export interface ModelsOptions {
  /** Longest wait, in milliseconds. @default 5000 */
  readonly timeoutMs?: number | undefined
  /** Time without a further card after which the list is complete, in milliseconds. @default 200 */
  readonly settleMs?: number | undefined
  /** Called at the end for each retained message that is not a valid card, with the model's name and the reason. */
  readonly onUnreadable?: ((name: string, mistake: string) => void) | undefined
}

/** A source of cards: `subscribe` resolves after the SUBACK, with a function that unsubscribes. */
export interface CardSource {
  subscribe(onMessage: (message: Message) => void): Promise<() => Promise<void>>
}

/** Default of `ModelsOptions.timeoutMs`. */
export const MODELS_TIMEOUT_DEFAULT_MS = 5_000
const SETTLE_DEFAULT_MS = 200
// Bounds the memory of a collection; further cards are skipped.
const CARDS_MAX = 10_000

/** Returns all cards of the source, sorted by name. `isEnough` ends the wait early. */
export async function collectCards(
  source: CardSource,
  options: ModelsOptions,
  isEnough: (cards: ReadonlyMap<string, ReceivedCard>) => boolean = () => false,
): Promise<ReceivedCard[]> {
  const { timeoutMs = MODELS_TIMEOUT_DEFAULT_MS, settleMs = SETTLE_DEFAULT_MS } = options
  const cards = new Map<string, ReceivedCard>()
  const mistakes = new Map<string, string>()
  const enough = new AbortController()
  let lastAt = 0
  const stop = await source.subscribe(({ topic, payload }) => {
    lastAt = performance.now()
    const name = topic.slice(topic.lastIndexOf('/') + 1)
    cards.delete(name)
    mistakes.delete(name)
    // An empty message clears a card.
    if (payload.length === 0 || cards.size + mistakes.size >= CARDS_MAX) return
    const { card, mistake } = readCard(name, payload)
    if (card === undefined) mistakes.set(name, mistake)
    else cards.set(name, card)
    if (isEnough(cards)) enough.abort()
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
  for (const [name, mistake] of mistakes) options.onUnreadable?.(name, mistake)
  return [...cards.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}
