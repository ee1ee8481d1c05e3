// Logs problems without letting a client write the log: one line per model and code and second, with a count.
import { PROBLEMS, type Problem } from '@inferwire/protocol'
import type { Log } from './log.ts'

interface Window {
  untilMs: number
  suppressed: number
}

const WINDOW_MS = 1_000
// Names come from the configuration, but a late report of a removed model brings a forgotten one back.
const WINDOWS_MAX = 10_000

/** Bounded by `WINDOWS_MAX`: the window that was opened first is dropped, with the count of what it left out. */
export class ProblemLog {
  readonly #log: Log
  readonly #windows = new Map<string, Window>()

  constructor(log: Log) {
    this.#log = log
  }

  /** Drops what is kept for a model that was removed. */
  forget(model: string): void {
    for (const key of this.#windows.keys()) if (key.startsWith(`${model} `)) this.#windows.delete(key)
  }

  /** `model` is the exposed model's name or `_unknown`, `operation` likewise. */
  report(problem: Problem, model: string, operation: string, nowMs: number): void {
    const { log } = PROBLEMS[problem.code]
    if (!this.#log.isLevelEnabled(log)) return
    const key = `${model} ${problem.code}`
    const window = this.#windows.get(key)
    if (window !== undefined && nowMs < window.untilMs) {
      window.suppressed += 1
      return
    }
    const suppressed = window?.suppressed ?? 0
    // Deleted first: the map's order is that of the openings.
    this.#windows.delete(key)
    this.#windows.set(key, { untilMs: nowMs + WINDOW_MS, suppressed: 0 })
    if (this.#windows.size > WINDOWS_MAX) this.#windows.delete(this.#windows.keys().next().value!)
    this.#log[log](
      {
        event: 'request_failed',
        code: problem.code,
        status: problem.status,
        model,
        operation,
        ...(problem.detail === undefined ? {} : { detail: problem.detail }),
        ...(suppressed === 0 ? {} : { suppressed }),
      },
      problem.message,
    )
  }
}
