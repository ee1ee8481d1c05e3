// Reports whether other programs disturbed the measurements.

/** If other programs used more cores than this, they affected the measurements. */
export const OTHER_CORES_MAX = 0.2

/**
 * Returns the warning about a busy machine as a list of one paragraph; the list is empty if the machine was idle.
 * @param {{ otherCores: number }[]} runs
 */
export function idleDoubts(runs) {
  const disturbed = runs.filter(({ otherCores }) => otherCores > OTHER_CORES_MAX)
  if (disturbed.length === 0) return []
  const peak = Math.max(...disturbed.map(({ otherCores }) => otherCores)).toFixed(2)
  return [
    `**The machine was not idle:** in ${disturbed.length} of ${runs.length} runs, other programs used more than ${OTHER_CORES_MAX} cores (peak: ${peak}).`,
  ]
}
