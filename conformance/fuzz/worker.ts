// Fuzzes one target in its own thread, so that the watching thread survives a hang, a crash and exhausted memory.
import { parentPort, workerData } from 'node:worker_threads'
import { readCorpus, writeFinding } from './corpus.ts'
import { fuzz, type FuzzProgress } from './engine.ts'
import { loadTarget } from './targets/index.ts'

/** Start data of the thread. */
export interface WorkerTask {
  readonly target: string
  readonly seed: number
  /** Limit of the elapsed time, or of the CPU time of the whole process. */
  readonly limit: { readonly kind: 'clock' | 'cpu'; readonly seconds: number }
  /** Two numbers (started runs, length of the current input), then the current input. */
  readonly current: SharedArrayBuffer
}

/** Messages of the thread. */
export type WorkerReport =
  | { readonly kind: 'progress' | 'done'; readonly progress: FuzzProgress }
  | { readonly kind: 'finding'; readonly text: string; readonly file: string }

/** Offset of the input in `current`. */
export const CURRENT_HEADER_BYTES = 8

const PROGRESS_MS = 1_000

const port = parentPort
if (port !== null) {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port has no origin
  await work(workerData as WorkerTask, (report) => port.postMessage(report))
}

async function work(task: WorkerTask, tell: (report: WorkerReport) => void): Promise<void> {
  const target = await loadTarget(task.target)
  const numbers = new Int32Array(task.current, 0, 2)
  const bytes = new Uint8Array(task.current, CURRENT_HEADER_BYTES)
  const secondsPassed = timer(task.limit.kind)
  let toldAtMs = 0
  const progress = await fuzz(target, {
    seed: task.seed,
    inputs: readCorpus(target.name).map(({ input }) => input),
    isOver: () => secondsPassed() >= task.limit.seconds,
    beforeRun: (input) => {
      bytes.set(input.subarray(0, bytes.length))
      numbers[1] = input.length
      Atomics.add(numbers, 0, 1)
    },
    onFinding: ({ kind, text }, input) => {
      tell({ kind: 'finding', text, file: writeFinding(target.name, kind, text, input) })
    },
    onProgress: ({ runs, behaviours, findings }) => {
      const nowMs = performance.now()
      if (nowMs - toldAtMs < PROGRESS_MS) return
      toldAtMs = nowMs
      tell({ kind: 'progress', progress: { runs, behaviours, findings } })
    },
  })
  tell({ kind: 'done', progress })
}

function timer(kind: 'clock' | 'cpu'): () => number {
  const startedAtMs = performance.now()
  if (kind === 'clock') return () => (performance.now() - startedAtMs) / 1000
  const before = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1e6
  }
}
