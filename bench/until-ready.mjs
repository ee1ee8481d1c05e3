// Waits until a connector is ready.
import { setTimeout as delay } from 'node:timers/promises'

const READY_EVERY_MS = 5

/** Resolves to the `performance.now()` of the moment when `/readyz` first returned 200. */
export async function untilReady(port, signal) {
  let last = 'no connection'
  while (!signal.aborted) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/readyz`, { signal })
      const text = await response.text()
      if (response.status === 200) return performance.now()
      last = `${response.status} ${text}`
    } catch {
      // The connector does not listen yet.
    }
    await delay(READY_EVERY_MS)
  }
  throw new Error(`/readyz did not return 200; last: ${last}`)
}
