// Targets: what a benchmark must show, as rows of `targetTable`.
import { median, spread } from './statistics.mjs'

const MEETS = {
  '<': (value, limit) => value < limit,
  '<=': (value, limit) => value <= limit,
  '>=': (value, limit) => value >= limit,
}

/**
 * Compares the median of a figure with its limit.
 * @param {{ what: string, relation: keyof typeof MEETS, limit: number, values: number[], digits?: number }} target
 *   `values`: one for each round, or for each pair of runs in the same round; empty if the benchmark was started without
 *   a scenario or a contender of the target. `digits`: number of decimals
 */
export function medianTarget({ what, relation, limit, values, digits }) {
  const isMeasured = values.length > 0
  return {
    target: `${what} ${relation} ${limit}`,
    measured: isMeasured ? spread(values, digits) : 'not part of this run',
    isMet: isMeasured ? MEETS[relation](median(values), limit) : undefined,
  }
}
