// A row of the matrix: one fault or one kind of load, with its criterion.

/** How a row runs. */
export interface RowOptions {
  /** At most about half a minute; the figures are a smoke test, not a proof. */
  readonly quick: boolean
  /** Share of the full counts and durations: above 0, at most 1. */
  readonly scale: number
  /** Prints a line about the progress. */
  readonly say: (line: string) => void
}

/** Measured values by name; units are in the names. */
export type Figures = Readonly<Record<string, number | string>>

/** The result of a row. */
export interface RowResult {
  readonly figures: Figures
  /** The parts of the criterion that were not met, one sentence each. */
  readonly failures: readonly string[]
  /** The same for times and rates, which other work on the machine may have affected. */
  readonly late: readonly string[]
}

/** A row that runs. */
export interface Row {
  readonly name: string
  /** The fault and the load. */
  readonly what: string
  readonly criterion: string
  /** Approximate duration of the full row, in seconds. */
  readonly fullSeconds: number
  /** The criterion has times: nothing else may run at the same time. */
  readonly isTimed: boolean
  run(options: RowOptions): Promise<RowResult>
}

/** A row that cannot run here. */
export interface NamedRow {
  readonly name: string
  readonly what: string
  readonly criterion: string
  /** What is missing. */
  readonly reason: string
}

/** The count or the seconds of this run. */
export function amountOf({ quick, scale }: RowOptions, full: number, whenQuick: number): number {
  return quick ? whenQuick : Math.max(1, Math.round(full * scale))
}

/** Collects the figures, and the parts of the criterion that are not met. */
export class Findings {
  readonly #figures: Record<string, number | string> = {}
  readonly #failures: string[] = []
  readonly #late: string[] = []

  /** Records a figure; numbers are rounded to three decimals. */
  figure(name: string, value: number | string): void {
    this.#figures[name] = typeof value === 'number' ? Math.round(value * 1000) / 1000 : value
  }

  /** Records the share of the full amount, such as `100 of 1000`. */
  ran(name: string, amount: number, full: number): void {
    this.figure(name, amount === full ? amount : `${amount} of ${full}`)
  }

  /** Records the sentence as a failure unless this part of the criterion is met. */
  check(isMet: boolean, sentence: string): void {
    if (!isMet) this.#failures.push(sentence)
  }

  /** Like `check`, for a time or a rate. */
  checkTime(isMet: boolean, sentence: string): void {
    if (!isMet) this.#late.push(sentence)
  }

  get result(): RowResult {
    return { figures: this.#figures, failures: this.#failures, late: this.#late }
  }
}
