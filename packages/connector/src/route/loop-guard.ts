// Prevents replies on subscribed topics, because a reply that is received as a request would cause an endless loop.
import { matchesFilter } from '@inferwire/protocol'
import type { Router } from '../step.ts'

/**
 * Wraps a router. Requests whose reply topic matches one of `filters` cannot be answered; `looped` is called for each,
 * with the reply topic. The standard topics need no guard, because their replies stay below `{root}/reply/`.
 */
export function withoutLoops(
  router: Router,
  filters: () => readonly string[],
  looped: (replyTopic: string) => void,
): Router {
  return {
    filters: () => router.filters(),
    route(delivery) {
      const routing = router.route(delivery)
      if (routing === undefined || !('target' in routing)) return routing
      const { topic } = routing.target
      if (!filters().some((filter) => matchesFilter(filter, topic))) return routing
      looped(topic)
      return undefined
    },
  }
}
