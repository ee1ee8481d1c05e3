// Keeps answers off the topics that we subscribe to: an answer that is a request again makes an endless loop.
import { matchesFilter } from '@inferwire/protocol'
import type { Router } from '../step.ts'

/**
 * The same router, without the deliveries whose answer would come back on one of `filters`: those count as requests
 * that cannot be answered. `looped` is called for each, with the reply topic. The standard topics need no guard: their
 * replies stay inside `{root}/reply/`.
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
