// Reports a lost connection while an answer is awaited; otherwise the wait for the broker would be silent.

const POLL_MS = 250
// A shorter loss is not reported.
const SILENT_MS = 1_000

/**
 * Runs `work`. Calls `lost` once for each loss of the connection, when the loss has lasted a second.
 * @param isConnected whether there is a connection now
 */
export async function watchConnection<Result>(
  isConnected: () => boolean,
  lost: () => void,
  work: () => Promise<Result>,
): Promise<Result> {
  let downMs = 0
  const timer = setInterval(() => {
    downMs = isConnected() ? 0 : downMs + POLL_MS
    if (downMs === SILENT_MS) lost()
  }, POLL_MS)
  try {
    return await work()
  } finally {
    clearInterval(timer)
  }
}
