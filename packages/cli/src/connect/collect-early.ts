// Starts garbage collections early, so that the bodies of answered requests do not fill a small container.
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

type Collect = (options?: { readonly type: 'minor' }) => void

// Bodies are outside V8's heap. V8 starts a GC for external memory after every 64 MB of new allocations.
const V8_STEP_BYTES = 64 * 1024 * 1024
// Fraction of the memory limit that external memory may use before a collection is started.
const SHARE_MAX = 1 / 4
const LOOK_MS = 10
// Shortest time between two full collections. If a collection frees too little because all bodies are still in
// use, an immediate second collection would not free more.
const FULL_EVERY_MS = 50

/**
 * Checks external memory every 10 ms if the process's memory limit is so small that V8's own GC would start too late.
 * A scavenge takes roughly 1 ms, a full collection roughly 10 ms. Figures: decision 0009.
 */
export function collectEarly(limitBytes: number = process.constrainedMemory()): void {
  const bytesMax = limitBytes * SHARE_MAX
  // 0 = the limit is unknown. Without a limit, the value is far larger than the machine's memory.
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
