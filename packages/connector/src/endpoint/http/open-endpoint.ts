// Chooses the endpoint class of an operation by its route.
import { DIALECTS, type Dialect, type DialectKind, type Route } from '@inferwire/protocol'
import type { Endpoint } from '../../step.ts'
import { HttpEndpoint, type HttpTarget } from './http-endpoint.ts'
import { StreamEndpoint } from './stream-endpoint.ts'

/** Creates the endpoint of one operation. The route's path must contain the dialect's prefix. */
export function openEndpoint(
  target: HttpTarget,
  dialect: Dialect,
  route: Route,
  isReadiness = false,
): Endpoint {
  const { lastEvent }: DialectKind = DIALECTS[dialect]
  return route.stream === undefined
    ? new HttpEndpoint(target, route, isReadiness)
    : new StreamEndpoint(target, route, lastEvent)
}
