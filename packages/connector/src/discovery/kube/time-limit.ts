// Gives a request a time limit in addition to its caller's signal.

/** Runs with a signal that is also aborted after `ms`, with a TimeoutError as its reason. */
export async function withTimeLimit<Result>(
  signal: AbortSignal | undefined,
  ms: number,
  run: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController()
  // Not AbortSignal.any, because its signals stay attached to a long-lived signal in Node.js 20.
  const abort = (): void => controller.abort(signal?.reason)
  if (signal?.aborted === true) abort()
  signal?.addEventListener('abort', abort)
  const timer = setTimeout(() => controller.abort(new DOMException('The time is over.', 'TimeoutError')), ms)
  try {
    return await run(controller.signal)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}
