// The retained model cards, collected: MQTT has no end mark for retained messages, so it ends when none comes any more.
import { readCard, type ReceivedCard } from '@inferwire/protocol'
import { delay } from './delay.ts'
import type { Message } from './transport.ts'

/** How long to wait for cards. */
export interface ModelsOptions {
  /** The longest wait, in milliseconds. @default 5000 */
  readonly timeoutMs?: number | undefined
  /** The list is complete when no further card came for so long, in milliseconds. @default 200 */
  readonly settleMs?: number | undefined
  /** Called at the end for each retained message that is no card and was left out: the model's name, and why. */
  readonly onUnreadable?: ((name: string, mistake: string) => void) | undefined
}

/** A subscription to cards; `subscribe` resolves with the SUBACK, `stop` ends it. */
export interface CardSource {
  subscribe(onMessage: (message: Message) => void): Promise<() => Promise<void>>
}

/** A collection's bounds. */
export const MODELS_TIMEOUT_DEFAULT_MS = 5_000
const SETTLE_DEFAULT_MS = 200
/** More cards than this are not kept. */
const CARDS_MAX = 10_000

/** All cards that the source has, by name. `isEnough` ends the wait early. */
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
