// Bounds how many lines about one name are logged: what a peer publishes must not fill the log.

interface Window {
  untilMs: number
  lines: number
  leftOut: number
}

const WINDOW_MS = 60_000
// A restart of a peer is three or four lines.
const LINES_MAX = 5
const NAMES_MAX = 1_000
// Names beyond share one window. It is no topic level, so no connector has this name.
const OTHERS = '#'

/** See the file's first line. */
export class LineLimit {
  readonly #windows = new Map<string, Window>()

  /**
   * Whether a line about a name may be logged now: how many were left out since the last one; undefined: it is left out.
   * `nowMs` is of the monotonic clock.
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
