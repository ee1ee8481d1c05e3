// Logs problems at a limited rate, so that clients cannot flood the log: for each model, code and refusal, at most
// one line per second.
import { PROBLEMS, type Problem } from '@inferwire/protocol'
import { UNPRINTABLE, type Log } from './log.ts'

/** The request that caused a problem. `model` and `operation` are configured names or `_unknown`. */
export interface FailedRequest {
  /** The client's name; undefined if the topic contains none. */
  readonly client: string | undefined
  readonly model: string
  readonly operation: string
}

interface Window {
  untilMs: number
  suppressed: number
}

// Limit on the length of the client's name in a log line; a topic level may have 255 characters.
const CLIENT_LENGTH_MAX = 128
const WINDOW_MS = 1_000
// The configured models limit the number of windows, but a late report can add a window for a removed model again.
const WINDOWS_MAX = 10_000

/**
 * Logs problems, including the number of suppressed lines. If there are more than `WINDOWS_MAX` windows, the oldest is
 * dropped.
 */
export class ProblemLog {
  readonly #log: Log
  readonly #windows = new Map<string, Window>()

  constructor(log: Log) {
    this.#log = log
  }

  /** Drops the windows of a removed model. */
  forget(model: string): void {
    for (const key of this.#windows.keys()) if (key.startsWith(`${model} `)) this.#windows.delete(key)
  }

  /** Logs a problem. The line names the client of the first request in the window of one second. */
  report(problem: Problem, { client, model, operation }: FailedRequest, nowMs: number): void {
    const { log } = PROBLEMS[problem.code]
    if (!this.#log.isLevelEnabled(log)) return
    const key = `${model} ${problem.code} ${problem.refusal?.name ?? ''}`
    const window = this.#windows.get(key)
    if (window !== undefined && nowMs < window.untilMs) {
      window.suppressed += 1
      return
    }
    const suppressed = window?.suppressed ?? 0
    // The window is deleted before it is added again, so that the map stays ordered by the start of the windows.
    this.#windows.delete(key)
    this.#windows.set(key, { untilMs: nowMs + WINDOW_MS, suppressed: 0 })
    if (this.#windows.size > WINDOWS_MAX) this.#windows.delete(this.#windows.keys().next().value!)
    this.#log[log](
      {
        event: 'request_failed',
        ...problemFields(problem),
        status: problem.status,
        ...(client === undefined ? {} : { client: shownClient(client) }),
        model,
        operation,
        ...(suppressed === 0 ? {} : { suppressed }),
      },
      problem.message,
    )
  }
}

/** Returns the fields of a log line that describe a problem, and how a gateway refused the call. */
export function problemFields({ code, detail, refusal }: Problem): {
  readonly code: string
  readonly detail?: string
  readonly refusal?: string
  readonly remedy?: string
} {
  return {
    code,
    ...(detail === undefined ? {} : { detail }),
    ...(refusal === undefined ? {} : { refusal: refusal.name, remedy: refusal.remedy }),
  }
}

function shownClient(client: string): string {
  const isLong = client.length > CLIENT_LENGTH_MAX
  return (isLong ? `${client.slice(0, CLIENT_LENGTH_MAX)}…` : client).replaceAll(UNPRINTABLE, '\ufffd')
}
