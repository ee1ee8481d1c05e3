// A row of the matrix: one fault or one kind of load, with its criterion.

/** Options of a row's run. */
export interface RowOptions {
  /** Runs for at most about half a minute; the figures are a smoke test, not a proof. */
  readonly quick: boolean
  /** Share of the full counts and durations: above 0 and at most 1. */
  readonly scale: number
  /** Prints a line that describes the progress. */
  readonly say: (line: string) => void
}

/** Measured values by name; the names include the units. */
export type Figures = Readonly<Record<string, number | string>>

/** The result of a row. */
export interface RowResult {
  readonly figures: Figures
  /** A sentence for each part of the criterion that was not met. */
  readonly failures: readonly string[]
  /** A sentence for each time or rate that missed the criterion, possibly because of other load on the machine. */
  readonly late: readonly string[]
}

/** A row that runs. */
export interface Row {
  readonly name: string
  /** Description of the fault and the load. */
  readonly what: string
  readonly criterion: string
  /** Approximate duration of the full row, in seconds. */
  readonly fullSeconds: number
  /** Whether the criterion limits times: if so, nothing else may run at the same time. */
  readonly isTimed: boolean
  run(options: RowOptions): Promise<RowResult>
}

/** A row that cannot run here. */
export interface NamedRow {
  readonly name: string
  readonly what: string
  readonly criterion: string
  /** Why it cannot run. */
  readonly reason: string
}

/** Returns the count, or the number of seconds, for this run. */
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

  /** Records how much of the full amount was run, such as `100 of 1000`. */
  ran(name: string, amount: number, full: number): void {
    this.figure(name, amount === full ? amount : `${amount} of ${full}`)
  }

  /** Records the sentence as a failure unless the described part of the criterion is met. */
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
