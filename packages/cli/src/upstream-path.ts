// Where on a model server an operation lives.
import type { InferenceProtocol, OperationName } from '@inferwire/protocol'

/** The path of an operation on a model server, from the names in the wire contract's table of operations. */
export function upstreamPath(
  name: string,
  version: string | undefined,
  operation: OperationName,
  protocol: InferenceProtocol,
): string {
  const v2 = `/v2/models/${name}${version === undefined ? '' : `/versions/${version}`}`
  switch (operation) {
    case 'predict':
    case 'explain':
      return `/v1/models/${name}:${operation}`
    case 'infer':
      return `${v2}/infer`
    case 'metadata':
      return protocol === 'v2' ? v2 : `/v1/models/${name}`
    case 'ready':
      return protocol === 'v2' ? `${v2}/ready` : `/v1/models/${name}`
  }
}
