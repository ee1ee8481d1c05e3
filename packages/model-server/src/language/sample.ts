// Chooses tokens at random, with a seed, a temperature and the limit `top_p`.
import { randomInt } from 'node:crypto'
import type { Sampling } from './language-model.ts'

/** Returns numbers in [0, 1). The same seed gives the same numbers. */
export function randomNumbers(seed: number | undefined): () => number {
  // Mulberry32: 32 bits of state are enough for a toy, and Math.random cannot be seeded.
  let state = (seed ?? randomInt(2 ** 32)) >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Chooses one of the tokens. `probabilities` has at least one entry. */
export function sample(
  probabilities: ReadonlyMap<string, number>,
  { temperature, topP }: Pick<Sampling, 'temperature' | 'topP'>,
  random: () => number,
): string {
  const ranked = [...probabilities].sort(([, left], [, right]) => right - left)
  const [best, highest] = ranked[0]!
  if (temperature === 0) return best
  // Dividing by the highest probability avoids an underflow to 0 at low temperatures.
  const weighted = ranked.map(
    ([token, probability]) => [token, (probability / highest) ** (1 / temperature)] as const,
  )
  const total = weighted.reduce((sum, [, weight]) => sum + weight, 0)
  const kept = withinTopP(weighted, topP * total)
  let rest = random() * kept.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [token, weight] of kept) {
    rest -= weight
    if (rest < 0) return token
  }
  return best
}

function withinTopP<Entry extends readonly [string, number]>(
  ranked: readonly Entry[],
  limit: number,
): Entry[] {
  let sum = 0
  return ranked.filter(([, weight]) => {
    const isWithin = sum < limit
    sum += weight
    return isWithin
  })
}
