// Ends everything that a row started, in reverse order, also when the row fails.

/** Ends one thing. */
type End = () => unknown

/** Collects what must be ended. */
export class Stage {
  readonly #ends: End[] = []

  /** Registers `end` to be called after the row. */
  later(end: End): void {
    this.#ends.push(end)
  }

  async clear(): Promise<void> {
    for (const end of this.#ends.splice(0).toReversed()) await end()
  }
}

/** Runs `play`; everything that it registered has ended when this resolves or rejects. */
export async function onStage<T>(play: (stage: Stage) => Promise<T>): Promise<T> {
  const stage = new Stage()
  try {
    return await play(stage)
  } finally {
    await stage.clear()
  }
}

/** Waits; for phases whose duration is part of the measurement. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Polls a condition; resolves with whether it became true in time. */
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
