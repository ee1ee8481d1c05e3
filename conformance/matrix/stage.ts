// Everything that a row starts, ended in the opposite order whatever happens.

/** Something that ends. */
type End = () => unknown

/** See the file's first line. */
export class Stage {
  readonly #ends: End[] = []

  /** `end` is called when the row is over. */
  later(end: End): void {
    this.#ends.push(end)
  }

  async clear(): Promise<void> {
    for (const end of this.#ends.splice(0).toReversed()) await end()
  }
}

/** Runs a row's play; what it started is gone when this resolves or rejects. */
export async function onStage<T>(play: (stage: Stage) => Promise<T>): Promise<T> {
  const stage = new Stage()
  try {
    return await play(stage)
  } finally {
    await stage.clear()
  }
}

/** The length of a phase is what is measured: no event could stand for it. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Resolves with whether it came true in time. */
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
