// A histogram that needs only a few comparisons per value, because it is updated for every request.

/** A histogram with the cumulative buckets of Prometheus. Values have the same unit as the bounds. */
export class Histogram {
  readonly bounds: readonly number[]
  readonly #counts: Float64Array
  #sum = 0
  #count = 0

  /** @param bounds the upper bounds, in ascending order */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.#counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    let index = 0
    while (index < this.bounds.length && value > this.bounds[index]!) index += 1
    this.#counts[index]! += 1
    this.#sum += value
    this.#count += 1
  }

  get count(): number {
    return this.#count
  }

  get sum(): number {
    return this.#sum
  }

  /** Returns the number of values at or below each bound, followed by the total. */
  cumulative(): number[] {
    let total = 0
    return Array.from(this.#counts, (count) => (total += count))
  }
}

/** Bucket bounds in seconds, from 0.5 ms (a cached answer) to 30 s (the default timeout). */
export const DURATION_SECONDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
] as const

/** Bucket bounds for the number of instances in a call. */
export const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] as const
