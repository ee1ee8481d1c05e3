// Lets a small container collect the bodies of answered requests before they fill it.
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

type Collect = (options?: { readonly type: 'minor' }) => void

// V8 begins to collect for the sake of bodies, which are outside of its heap, when 64 MB have come since the last time.
const V8_STEP_BYTES = 64 * 1024 * 1024
// Of the memory limit.
const SHARE_MAX = 1 / 4
const LOOK_MS = 10
// Where all the bodies are in use, collecting all again at once would find nothing either.
const FULL_EVERY_MS = 50

/**
 * Looks at the bodies in memory again and again, where the memory limit of the process is so small that V8 would be late.
 * A collection of the young takes about a millisecond, and of all about ten.
 */
export function collectEarly(limitBytes: number = process.constrainedMemory()): void {
  const bytesMax = limitBytes * SHARE_MAX
  // 0 where the system cannot tell; far more than the machine has where there is no limit.
  if (limitBytes === 0 || bytesMax >= V8_STEP_BYTES) return
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as Collect
  const isTooMuch = (): boolean => getHeapStatistics().external_memory > bytesMax
  let fullAtMs = 0
  setInterval(() => {
    if (!isTooMuch()) return
    collect({ type: 'minor' })
    if (!isTooMuch() || performance.now() < fullAtMs) return
    collect()
    fullAtMs = performance.now() + FULL_EVERY_MS
  }, LOOK_MS).unref()
}
