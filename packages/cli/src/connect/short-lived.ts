// Disables V8's allocation-site pretenuring.
import { setFlagsFromString } from 'node:v8'

/**
 * Disables allocation-site pretenuring. Until the code is optimized, requests overlap and their objects survive
 * a scavenge; V8 then permanently allocates such per-request objects in old space, where each dead one keeps its
 * young objects alive until a full collection. In a third of all runs, this costs 30 MB and up to a third more CPU per
 * request.
 */
export function expectShortLives(): void {
  setFlagsFromString('--no-allocation-site-pretenuring')
}
