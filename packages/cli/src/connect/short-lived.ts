// Tells V8 that nothing which a request makes lives long.
import { setFlagsFromString } from 'node:v8'

/**
 * While the program is still slow, requests overlap, and their objects outlive a collection of the young. V8 concludes
 * that the places in the code which make them make long-lived ones ("pretenuring"), and allocates there among the old
 * for ever: then each dead request keeps its own young objects alive until a full collection. Costs 30 MB and up to a
 * third more CPU per request, in one run of three.
 */
export function expectShortLives(): void {
  setFlagsFromString('--no-allocation-site-pretenuring')
}
