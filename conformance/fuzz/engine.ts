// The fuzzer: mutates inputs, keeps the inputs that show new behaviour, and reports those that fail.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { mutate } from './mutate.ts'
import { Random } from '../fixtures/random.ts'
import type { FuzzTarget } from './target.ts'
import { tryInput, type Finding } from './try-input.ts'

/** Options of a fuzzer run. */
export interface FuzzOptions {
  readonly seed: number
  /** Initial inputs in addition to the target's seeds. */
  readonly inputs: readonly Buffer[]
  /** Returns whether to stop. Called between runs, a few times a second. */
  readonly isOver: (progress: FuzzProgress) => boolean
  /** Called with every input before its run, so that the input is known even if the run ends the process. */
  readonly beforeRun?: (input: Buffer) => void
  readonly onFinding: (finding: Finding, input: Buffer) => void
  readonly onProgress?: (progress: FuzzProgress) => void
}

/** Progress of a fuzzer. */
export interface FuzzProgress {
  readonly runs: number
  /** Number of different labels. */
  readonly behaviours: number
  /** Number of different faults. */
  readonly findings: number
}

const BEHAVIOURS_MAX = 4000
const INPUT_BYTES_MAX = 4096
// How long inputs run before the event loop handles timers, closed streams and messages to the thread.
const TURN_MS = 10
const SHRINK_TRIES_MAX = 400

/** Fuzzes one target until `isOver` returns true. */
export async function fuzz(target: FuzzTarget, options: FuzzOptions): Promise<FuzzProgress> {
  const session = new FuzzSession(target, options)
  for (const input of [...target.seedInputs, ...options.inputs]) await session.run(input)
  while (!options.isOver(session)) {
    const untilMs = performance.now() + TURN_MS
    while (performance.now() < untilMs) await session.runNext()
    options.onProgress?.(session)
    await nextTurn()
  }
  return { runs: session.runs, behaviours: session.behaviours, findings: session.findings }
}

class FuzzSession implements FuzzProgress {
  runs = 0
  readonly #target: FuzzTarget
  readonly #options: FuzzOptions
  readonly #random: Random
  readonly #seeds: readonly Buffer[]
  // Indexes in the pool by label. The pool contains the shortest input for each behaviour, in the order of discovery.
  readonly #kept = new Map<string, number>()
  readonly #pool: Buffer[] = []
  readonly #signatures = new Set<string>()

  constructor(target: FuzzTarget, options: FuzzOptions) {
    this.#target = target
    this.#options = options
    this.#random = new Random(options.seed)
    this.#seeds = [...target.seedInputs, ...options.inputs]
  }

  get behaviours(): number {
    return this.#kept.size
  }

  get findings(): number {
    return this.#signatures.size
  }

  async runNext(): Promise<void> {
    await this.run(this.#next())
  }

  async run(input: Buffer): Promise<void> {
    this.#options.beforeRun?.(input)
    this.runs += 1
    const outcome = await tryInput(this.#target, input, false)
    if ('label' in outcome) return this.#keep(outcome.label, input)
    if (this.#signatures.has(outcome.signature)) return
    this.#signatures.add(outcome.signature)
    // An input that hangs is not reduced, because each attempt would hang for just as long.
    if (outcome.kind === 'hang') return this.#options.onFinding(outcome, input)
    const shrunk = await this.#shrunk(input, outcome)
    const told = await tryInput(this.#target, shrunk)
    this.#options.onFinding('signature' in told ? told : outcome, shrunk)
  }

  #keep(label: string, input: Buffer): void {
    const known = this.#kept.get(label)
    if (known === undefined) {
      if (this.#kept.size >= BEHAVIOURS_MAX) return
      this.#kept.set(label, this.#pool.length)
      this.#pool.push(Buffer.from(input))
    } else if (input.length < this.#pool[known]!.length) {
      this.#pool[known] = Buffer.from(input)
    }
  }

  #next(): Buffer {
    const random = this.#random
    const { dictionary, inputBytesMax: bytesMax = INPUT_BYTES_MAX, mutate: ownMutate } = this.#target
    const input = this.#parent()
    const kind = ownMutate === undefined ? 0 : random.next()
    const generic =
      kind < 0.7 ? mutate(input, random, { other: this.#parent(), dictionary, bytesMax }) : input
    const changed = kind < 0.4 || ownMutate === undefined ? generic : ownMutate(generic, random)
    return changed.length > bytesMax ? changed.subarray(0, bytesMax) : changed
  }

  // Prefers recent inputs, which lead to new behaviour more often.
  #parent(): Buffer {
    const random = this.#random
    const kind = random.next()
    if (this.#pool.length === 0 || kind < 0.2) {
      return this.#seeds.length === 0 ? Buffer.alloc(0) : random.pick(this.#seeds)
    }
    if (kind < 0.6) return random.pick(this.#pool)
    return this.#pool[this.#pool.length - 1 - random.below(Math.min(50, this.#pool.length))]!
  }

  // Removes the parts of the input that are not needed to reproduce the fault.
  async #shrunk(input: Buffer, finding: Finding): Promise<Buffer> {
    let best = input
    let tries = 0
    for (let size = Math.ceil(best.length / 2); size > 0; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let at = 0; at < best.length && tries < SHRINK_TRIES_MAX; tries++) {
        const shorter = Buffer.concat([best.subarray(0, at), best.subarray(at + size)])
        this.#options.beforeRun?.(shorter)
        const outcome = await tryInput(this.#target, shorter, false)
        if ('signature' in outcome && outcome.signature === finding.signature) best = shorter
        else at += size
      }
    }
    return best
  }
}
