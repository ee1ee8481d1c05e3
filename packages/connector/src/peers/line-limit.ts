// Limits how many log lines each name may cause, so that the messages of a peer cannot fill the log.

interface Window {
  untilMs: number
  lines: number
  leftOut: number
}

const WINDOW_MS = 60_000
// Limit on the lines of one name in each window; a restart of a peer causes three or four lines.
const LINES_MAX = 5
const NAMES_MAX = 1_000
// Names above this limit share one window. "#" cannot be a topic level, so no connector has this name.
const OTHERS = '#'

/** Limits the log lines per minute for each name. */
export class LineLimit {
  readonly #windows = new Map<string, Window>()

  /**
   * Returns the number of lines that were left out since the last logged line, or undefined if this line must be left
   * out. `nowMs` is a time of the monotonic clock.
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
