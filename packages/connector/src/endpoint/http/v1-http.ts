// KServe's V1 data plane (TensorFlow Serving style) over HTTP.
import type { OperationName } from '@inferwire/protocol'
import type { Endpoint } from '../../step.ts'
import { HttpEndpoint, type HttpUpstream } from './http-endpoint.ts'

/** The endpoints of one model. `model` is its name on the server; the colon of `:predict` stays literal. */
export function v1Endpoints(upstream: HttpUpstream, model: string): Map<OperationName, Endpoint> {
  const path = `/v1/models/${encodeURIComponent(model)}`
  const about = new HttpEndpoint(upstream, 'GET', path)
  return new Map<OperationName, Endpoint>([
    ['predict', new HttpEndpoint(upstream, 'POST', `${path}:predict`)],
    ['explain', new HttpEndpoint(upstream, 'POST', `${path}:explain`)],
    ['metadata', about],
    ['ready', about],
  ])
}
