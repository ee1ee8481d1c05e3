// The order in which a benchmark measures what it compares.

/**
 * Yields every combination of round, scenario and contender. The order of the contenders is reversed every second round,
 * so that none is always first, and a machine that slows down affects all of them equally.
 * @template S, C
 * @param {{ rounds: number, scenarios?: S[], contenders: C[] }} what
 * @returns {Generator<{ round: number, scenario: S, contender: C }>} `round` counts from 1
 */
export function* inRounds({ rounds, scenarios = [undefined], contenders }) {
  for (let round = 1; round <= rounds; round++) {
    const order = round % 2 === 1 ? contenders : contenders.toReversed()
    for (const scenario of scenarios) for (const contender of order) yield { round, scenario, contender }
  }
}
