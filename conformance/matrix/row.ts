// What a row of the matrix is: one fault or one kind of load, with the criterion that decides.

/** How a row runs. */
export interface RowOptions {
  /** At most half a minute; the figures are a smoke test, not a proof. */
  readonly quick: boolean
  /** Share of the full counts and durations that runs: above 0, at most 1. */
  readonly scale: number
  /** A line about how it goes. */
  readonly say: (line: string) => void
}

/** What was measured, by name; units are in the names. */
export type Figures = Readonly<Record<string, number | string>>

/** How it came out. */
export interface RowResult {
  readonly figures: Figures
  /** One sentence for each part of the criterion that was not met. */
  readonly failures: readonly string[]
  /** The same, where the machine's other work may be the reason: times and rates. */
  readonly late: readonly string[]
}

/** A row that runs. */
export interface Row {
  readonly name: string
  /** The fault and the load. */
  readonly what: string
  readonly criterion: string
  /** How long the full version takes, about, in seconds. */
  readonly fullSeconds: number
  /** Times decide: nothing else may run beside it. */
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

/** How often, or for how many seconds, it is done this time. */
export function amountOf({ quick, scale }: RowOptions, full: number, whenQuick: number): number {
  return quick ? whenQuick : Math.max(1, Math.round(full * scale))
}

/** Collects figures, and what was not as it must be. */
export class Findings {
  readonly #figures: Record<string, number | string> = {}
  readonly #failures: string[] = []
  readonly #late: string[] = []

  /** Numbers are rounded to three digits behind the point. */
  figure(name: string, value: number | string): void {
    this.#figures[name] = typeof value === 'number' ? Math.round(value * 1000) / 1000 : value
  }

  /** How much of the full amount was done: `100 of 1000`. */
  ran(name: string, amount: number, full: number): void {
    this.figure(name, amount === full ? amount : `${amount} of ${full}`)
  }

  /** `isMet` = this part of the criterion holds; else the sentence tells. */
  check(isMet: boolean, sentence: string): void {
    if (!isMet) this.#failures.push(sentence)
  }

  /** The same for a time or a rate. */
  checkTime(isMet: boolean, sentence: string): void {
    if (!isMet) this.#late.push(sentence)
  }

  get result(): RowResult {
    return { figures: this.#figures, failures: this.#failures, late: this.#late }
  }
}
