// Medians, quantiles and ratios of measurements.

/** Returns the middle value, or the mean of the two middle values. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * Returns the 50th and 99th percentiles and the maximum; all are NaN if there are no values.
 * @param {number[]} values in milliseconds
 */
export function latencyFigures(values) {
  const sorted = Float64Array.from(values).sort()
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
}

/** Returns the median of the values of all rounds and, in brackets, the minimum and the maximum, as Markdown. */
export function spread(values, digits = 2) {
  const [middle, least, greatest] = [median(values), Math.min(...values), Math.max(...values)].map((value) =>
    value.toFixed(digits),
  )
  return values.length === 1 ? middle : `**${middle}** (${least} to ${greatest})`
}
