// The V2 protocol (Open Inference Protocol) over HTTP.
import type { OperationName } from '@inferwire/protocol'
import type { Endpoint } from '../../step.ts'
import { HttpEndpoint, type HttpUpstream } from './http-endpoint.ts'

/** The endpoints of one model, or of one of its versions. `model` is its name on the server. */
export function v2Endpoints(
  upstream: HttpUpstream,
  model: string,
  version?: string,
): Map<OperationName, Endpoint> {
  const suffix = version === undefined ? '' : `/versions/${encodeURIComponent(version)}`
  const path = `/v2/models/${encodeURIComponent(model)}${suffix}`
  return new Map<OperationName, Endpoint>([
    ['infer', new HttpEndpoint(upstream, 'POST', `${path}/infer`)],
    ['metadata', new HttpEndpoint(upstream, 'GET', path)],
    ['ready', new HttpEndpoint(upstream, 'GET', `${path}/ready`)],
  ])
}
