// Disables V8's allocation-site pretenuring.
import { setFlagsFromString } from 'node:v8'

/**
 * Disables allocation-site pretenuring. Until the code is optimized, requests overlap and their objects survive a
 * scavenge; V8 then permanently allocates such per-request objects in old space. There, each dead object keeps alive
 * all new objects that it references, until a full collection. This increases memory use by up to half (decision 0009).
 */
export function expectShortLives(): void {
  setFlagsFromString('--no-allocation-site-pretenuring')
}
