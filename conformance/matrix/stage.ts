// Stops everything that a row started, in reverse order, even if the row fails.

/** Stops something that a row started. */
type End = () => unknown

/** Collects the functions that stop what a row started. */
export class Stage {
  readonly #ends: End[] = []

  /** Registers a function to call after the row. */
  later(end: End): void {
    this.#ends.push(end)
  }

  async clear(): Promise<void> {
    for (const end of this.#ends.splice(0).toReversed()) await end()
  }
}

/** Runs `play`, then calls all functions that `play` registered, and resolves or rejects like `play`. */
export async function onStage<T>(play: (stage: Stage) => Promise<T>): Promise<T> {
  const stage = new Stage()
  try {
    return await play(stage)
  } finally {
    await stage.clear()
  }
}

/** Waits. Use this only in phases whose duration is part of the measurement. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Polls a condition; resolves with true if it becomes true in time, otherwise with false. */
export async function until(
  isTrue: () => boolean | Promise<boolean>,
  timeoutMs: number,
  stepMs = 20,
): Promise<boolean> {
  const limit = performance.now() + timeoutMs
  for (;;) {
    if (await isTrue()) return true
    if (performance.now() > limit) return false
    await pause(stepMs)
  }
}
