// Combines several routers.
import type { Router } from '../step.ts'

/** Returns a router that asks the given routers in turn, and uses the first result. */
export function firstOf(routers: readonly Router[]): Router {
  const [only] = routers
  if (only !== undefined && routers.length === 1) return only
  return {
    filters: () => routers.flatMap((router) => router.filters()),
    route(delivery) {
      for (const router of routers) {
        const routing = router.route(delivery)
        if (routing !== undefined) return routing
      }
      return undefined
    },
  }
}
