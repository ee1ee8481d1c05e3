// Finds stop sequences in text that arrives in pieces.

/** Passes text on up to a stop sequence. Holds back text that may be the beginning of a stop sequence. */
export class StopSequences {
  readonly #sequences: readonly string[]
  #held = ''

  /** @param sequences non-empty strings */
  constructor(sequences: readonly string[]) {
    this.#sequences = sequences
  }

  /** Returns the text that can be passed on; the stop sequence itself is never passed on. */
  push(text: string): { readonly text: string; readonly isStopped: boolean } {
    const all = this.#held + text
    const found = this.#sequences.map((sequence) => all.indexOf(sequence)).filter((at) => at >= 0)
    if (found.length > 0) {
      this.#held = ''
      return { text: all.slice(0, Math.min(...found)), isStopped: true }
    }
    const passed = all.length - this.#heldLength(all)
    this.#held = all.slice(passed)
    return { text: all.slice(0, passed), isStopped: false }
  }

  /** Returns the text that is still held back. Call it when the generation has ended. */
  end(): string {
    const held = this.#held
    this.#held = ''
    return held
  }

  #heldLength(all: string): number {
    const lengths = this.#sequences.map((sequence) => {
      let length = Math.min(sequence.length - 1, all.length)
      while (length > 0 && !all.endsWith(sequence.slice(0, length))) length--
      return length
    })
    return Math.max(0, ...lengths)
  }
}
