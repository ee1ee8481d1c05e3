// Limits how many log lines each name may cause, so that the messages of a peer cannot fill the log.

interface Window {
  untilMs: number
  lines: number
  leftOut: number
}

const WINDOW_MS = 60_000
// Limit on the number of log lines for each name in one window; a restart of a peer causes three or four lines.
const LINES_MAX = 5
const NAMES_MAX = 1_000
// Names beyond the first NAMES_MAX share one window, under a name that no connector has: "#" cannot be a topic level.
const OTHERS = '#'

/** Limits the number of log lines per minute for each name. */
export class LineLimit {
  readonly #windows = new Map<string, Window>()

  /**
   * Returns undefined if this line must be omitted, otherwise the number of lines that were omitted since the last
   * logged line. `nowMs` is a time of the monotonic clock.
   */
  admit(name: string, nowMs: number): number | undefined {
    const window = this.#windowOf(name)
    if (nowMs >= window.untilMs) {
      window.untilMs = nowMs + WINDOW_MS
      window.lines = 0
    }
    if (window.lines >= LINES_MAX) {
      window.leftOut += 1
      return undefined
    }
    window.lines += 1
    const { leftOut } = window
    window.leftOut = 0
    return leftOut
  }

  #windowOf(name: string): Window {
    const key = this.#windows.has(name) || this.#windows.size < NAMES_MAX ? name : OTHERS
    let window = this.#windows.get(key)
    if (window === undefined) {
      window = { untilMs: 0, lines: 0, leftOut: 0 }
      this.#windows.set(key, window)
    }
    return window
  }
}
