// Decides what Ctrl-C does: it ends the process, or it cancels the work in progress.
import { EXIT } from './exit-code.ts'

let cancel: (() => void) | undefined
let isInstalled = false

/** From now on Ctrl-C ends the process at once, except during `cancellable`. */
export function exitOnInterrupt(): void {
  if (isInstalled) return
  isInstalled = true
  process.on('SIGINT', () => {
    if (cancel === undefined) process.exit(EXIT.interrupted)
    const first = cancel
    // A second Ctrl-C ends the process without waiting for the broker.
    cancel = undefined
    first()
  })
}

/** The work was cancelled by Ctrl-C, so there is nothing to report: see describe-error.ts. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
}

/**
 * Runs `work`; the first Ctrl-C aborts its signal, so that a request is cancelled at the model server too.
 * @throws Interrupted after Ctrl-C
 */
export async function cancellable<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  exitOnInterrupt()
  const controller = new AbortController()
  cancel = () => controller.abort(new Error('Ctrl-C'))
  try {
    return await work(controller.signal)
  } catch (error) {
    if (controller.signal.aborted) throw new Interrupted('interrupted', { cause: error })
    throw error
  } finally {
    cancel = undefined
  }
}
