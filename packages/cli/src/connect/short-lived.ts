// Disables V8's allocation-site pretenuring.
import { setFlagsFromString } from 'node:v8'

/**
 * Disables allocation-site pretenuring. While V8 has not yet optimized the code, requests overlap, and their
 * objects survive a scavenge. V8 would therefore allocate all later objects of this kind in old space. There, each
 * dead object keeps alive all new objects that it references, until a full collection. Memory use would increase
 * by up to half (decision 0009).
 */
export function expectShortLives(): void {
  setFlagsFromString('--no-allocation-site-pretenuring')
}
