// The result of a call to a server that has been down since the connector started.
import type { ProtocolCase } from '../case.ts'
import { WAYS, type WayName } from '../ways.ts'

/**
 * Returns the result for each way. Not every V2 server has `generate` and `infer_stream`, so the connector must have
 * reached the server once before it calls these operations.
 */
export function closedPort(way: WayName): Pick<ProtocolCase, 'situation' | 'what'> {
  const { operation } = WAYS[way]
  return operation === 'generate' || operation === 'infer_stream'
    ? {
        situation: 'notReady',
        what: 'a closed port, if the server has not reported yet whether it has the operation',
      }
    : { situation: 'unreachable', what: 'a closed port' }
}
