// The retained model cards, collected: MQTT has no end mark for retained messages, so it ends when none comes any more.
import type { ModelCard } from '@inferwire/protocol'
import { delay } from './delay.ts'
import type { Message } from './transport.ts'

/** How long to wait for cards. */
export interface ModelsOptions {
  /** The longest wait, in milliseconds. @default 5000 */
  readonly timeoutMs?: number | undefined
  /** The list is complete when no further card came for so long, in milliseconds. @default 200 */
  readonly settleMs?: number | undefined
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
  isEnough: (cards: ReadonlyMap<string, ModelCard>) => boolean = () => false,
): Promise<ModelCard[]> {
  const { timeoutMs = MODELS_TIMEOUT_DEFAULT_MS, settleMs = SETTLE_DEFAULT_MS } = options
  const cards = new Map<string, ModelCard>()
  const enough = new AbortController()
  let lastAt = 0
  const stop = await source.subscribe(({ topic, payload }) => {
    lastAt = performance.now()
    const name = topic.slice(topic.lastIndexOf('/') + 1)
    const card = readCard(name, payload)
    if (card === undefined) cards.delete(name)
    else if (cards.size < CARDS_MAX) cards.set(name, card)
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
  return [...cards.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** A card, or undefined for what is not one (an empty payload clears it). Unknown members are kept. */
export function readCard(name: string, payload: Uint8Array): ModelCard | undefined {
  if (payload.length === 0) return undefined
  try {
    const card = JSON.parse(new TextDecoder().decode(payload)) as Partial<ModelCard> | null
    return card?.name === name && Array.isArray(card.operations) ? (card as ModelCard) : undefined
  } catch {
    return undefined
  }
}
