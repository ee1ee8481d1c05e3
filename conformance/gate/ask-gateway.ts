// Sends a prediction to a gateway without the connector.
import { request } from 'node:http'

/** The parts of a gateway's reply that the tests compare. */
export interface GatewayReply {
  readonly status: number
  readonly type: string | undefined
  readonly body: string
  /** Whether the reply came from behind the first Envoy. */
  readonly isFromBehind: boolean
}

/** Path of a prediction of the model `iris`. */
export const PREDICT_PATH = '/v1/models/iris:predict'

/** Sends a prediction; `url` is the gateway, `host` the Host header. */
export function askGateway(
  url: string,
  host: string,
  headers: Record<string, string> = {},
  path = PREDICT_PATH,
): Promise<GatewayReply> {
  return new Promise((resolve, reject) => {
    const call = request(url + path, { method: 'POST', headers: { host, ...headers } }, (response) => {
      let body = ''
      response.on('data', (chunk) => (body += chunk))
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          type: response.headers['content-type'],
          body,
          isFromBehind: 'x-envoy-upstream-service-time' in response.headers,
        }),
      )
    })
    call.on('error', reject)
    call.end('{"instances":[[1]]}')
  })
}
