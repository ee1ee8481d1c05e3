// The order in which a benchmark measures what it compares, and the pairs of runs that it compares.

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

/**
 * Returns the pairs of runs that are compared: both were measured in the same round.
 * @template {{ round: number }} R
 * @param {R[]} runs
 * @param {(run: R) => boolean} isOne selects the first run of each pair
 * @param {(run: R) => boolean} isOther selects the second run; a first run without a second one is omitted
 * @returns {[R, R][]}
 */
export function pairsOf(runs, isOne, isOther) {
  return runs.filter(isOne).flatMap((run) => {
    const other = runs.find((candidate) => candidate.round === run.round && isOther(candidate))
    return other === undefined ? [] : [[run, other]]
  })
}
