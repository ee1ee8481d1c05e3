// Runs the fuzzer of one target in a thread and watches it: a thread that hangs or dies is a finding.
import { Worker } from 'node:worker_threads'
import { writeFinding } from './corpus.ts'
import type { FuzzProgress } from './engine.ts'
import { CURRENT_HEADER_BYTES, type WorkerReport, type WorkerTask } from './worker.ts'

/** Result of a target's run. */
export interface TargetResult extends FuzzProgress {
  readonly target: string
  readonly seconds: number
}

/** Callbacks during a run. */
export interface TargetListener {
  progress(target: string, progress: FuzzProgress, seconds: number): void
  found(target: string, text: string, file: string): void
}

const INPUT_BYTES_MAX = 1024 * 1024
// Heap limit of a thread. Inputs are small, so code that needs more memory than this lacks a limit.
const HEAP_MB_MAX = 512
// Time limit of one run. It is far above the 100 ms of CPU time that a run may take, because other programs share the
// machine.
const STALL_MS = 30_000

/** Fuzzes a target; resolves when its time has elapsed or the thread cannot continue. */
export function fuzzTarget(
  task: Omit<WorkerTask, 'current'>,
  listener: TargetListener,
): Promise<TargetResult> {
  const current = new SharedArrayBuffer(CURRENT_HEADER_BYTES + INPUT_BYTES_MAX)
  const worker = new Worker(new URL('worker.ts', import.meta.url), {
    workerData: { ...task, current } satisfies WorkerTask,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
  })
  const startedAtMs = performance.now()
  const secondsPassed = (): number => (performance.now() - startedAtMs) / 1000
  let last: FuzzProgress = { runs: 0, behaviours: 0, findings: 0 }
  let isDone = false
  return new Promise((resolve) => {
    const died = (kind: string, text: string): void => {
      const file = writeFinding(task.target, kind, text, inputOf(current))
      last = { ...last, findings: last.findings + 1 }
      listener.found(task.target, text, file)
    }
    const watch = watchStall(current, () => {
      died('stall', `a run did not end within ${STALL_MS / 1000} s`)
      void worker.terminate()
    })
    worker.on('message', (report: WorkerReport) => {
      if (report.kind === 'finding') return listener.found(task.target, report.text, report.file)
      last = report.progress
      isDone = report.kind === 'done'
      listener.progress(task.target, last, secondsPassed())
      if (isDone) void worker.terminate()
    })
    worker.on('error', (error) => {
      died(
        'crash',
        `the thread died in this run, or in a run shortly before it: ${error.stack ?? error.message}`,
      )
    })
    worker.on('exit', () => {
      clearInterval(watch)
      resolve({ target: task.target, ...last, seconds: secondsPassed() })
    })
  })
}

function inputOf(current: SharedArrayBuffer): Buffer {
  const length = Math.min(new Int32Array(current, 0, 2)[1]!, INPUT_BYTES_MAX)
  return Buffer.from(new Uint8Array(current, CURRENT_HEADER_BYTES, length))
}

function watchStall(current: SharedArrayBuffer, stalled: () => void): NodeJS.Timeout {
  const numbers = new Int32Array(current, 0, 2)
  let runs = 0
  let sinceMs = performance.now()
  return setInterval(() => {
    const now = Atomics.load(numbers, 0)
    if (now !== runs) {
      runs = now
      sinceMs = performance.now()
    } else if (performance.now() - sinceMs > STALL_MS) {
      sinceMs = Number.POSITIVE_INFINITY
      stalled()
    }
  }, 1_000)
}
