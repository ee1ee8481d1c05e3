// Finds the situations that occurred in a run: a simulation in which no fault occurs proves nothing.
import { OpenRequests, type OpenDelivery } from '../checkers/open-requests.ts'
import { CALL_SITUATIONS, CallCoverage } from './call-coverage.ts'
import type { History, HistoryEvent } from './history.ts'

/** Names of all situations that must occur in a large number of runs. */
export const MUST_COME_UP: readonly string[] = [
  ...[
    'cut',
    'flapping',
    'slow',
    'half-open',
    'broker-restart, session kept',
    'broker-restart, session lost',
    'broker-freeze',
    'broker-refuses',
    'subscribe-refused',
    'takeover',
    'replies-refused',
    'kill',
    'freeze',
    'drain',
    'model-outage',
  ].map((kind) => `fault: ${kind}`),
  ...[0x00, 0x10, 0x83, 0x87, 0x97].map((code) => `reply acknowledged with ${hex(code)}`),
  ...[0x00, 0x87, 0x88, 0x89].map((code) => `CONNACK with ${hex(code)}`),
  ...[
    'cancelled',
    'overloaded',
    'deadline_exceeded',
    'response_too_large',
    'retained_request',
    'response_topic_forbidden',
    'model_not_found',
    'upstream_unreachable',
    'upstream_error',
    'internal',
    'bad_payload',
    'maybe_executed',
    'stream_interrupted',
  ].map((code) => `problem: ${code}`),
  'session resumed',
  'session lost',
  'delivery with DUP',
  'reply with DUP',
  'same key delivered as two messages',
  'message expired in the broker',
  'message lost with the session',
  'no subscriber (0x10 to the requester)',
  'request without a reply address',
  'multi-part answer',
  'part with DUP',
  'final message with an error',
  'repeated final message',
  'PUBACK overtook that of an earlier delivery',
  'intake paused',
  'request in safekeeping',
  'request taken from safekeeping by a later process',
  'request with QoS 0',
  'cancel message',
  'call outlasted its connection',
  'process killed',
  'process drained',
  'MQTT 3.1.1',
  ...CALL_SITUATIONS,
]

/** Returns the names of the situations that occurred in this run. */
export function comeUp(history: History): Set<string> {
  const seen = new Set<string>()
  const connections = new Map<number, number>()
  const messagesOf = new Map<string, number>()
  const open = new Map<number, OpenRequests<OpenDelivery>>()
  const finals = new Set<string>()
  const openOn = (connection: number): OpenRequests<OpenDelivery> => {
    if (!open.has(connection)) open.set(connection, new OpenRequests())
    return open.get(connection)!
  }
  const calls = new CallCoverage(seen)
  let closed = 0
  if (history.limits.protocolVersion === 4) seen.add('MQTT 3.1.1')
  for (const event of history.events) {
    calls.see(event)
    switch (event.kind) {
      case 'fault': {
        const { fault } = event
        const detail =
          fault.kind !== 'broker-restart' ? '' : fault.keepsSession ? ', session kept' : ', session lost'
        seen.add(`fault: ${fault.kind}${detail}`)
        break
      }
      case 'publish-ack':
        seen.add(`reply acknowledged with ${hex(event.reasonCode)}`)
        break
      case 'dialled':
        connections.set(event.process, (connections.get(event.process) ?? 0) + 1)
        break
      case 'connack':
        seen.add(`CONNACK with ${hex(event.reasonCode)}`)
        if (event.sessionPresent) seen.add('session resumed')
        else if (event.connection > 1 && event.reasonCode === 0) seen.add('session lost')
        break
      case 'delivery': {
        if (event.dup) seen.add('delivery with DUP')
        if (event.qos === 0) seen.add('request with QoS 0')
        if (event.isCancel) seen.add('cancel message')
        else if ((messagesOf.get(event.key) ?? event.message) !== event.message)
          seen.add('same key delivered as two messages')
        messagesOf.set(event.key, event.message)
        if (event.qos > 0) openOn(event.connection).add({ packetId: event.packetId, arrivedAtMs: event.atMs })
        if (history.requests.get(event.key)!.replyTopic === undefined)
          seen.add('request without a reply address')
        break
      }
      case 'publish':
        if (event.dup) seen.add('reply with DUP')
        if (event.mark !== undefined) for (const name of partNames(event, finals)) seen.add(name)
        if (event.code !== undefined) seen.add(`problem: ${event.code}`)
        break
      case 'lost':
        seen.add(
          event.reason === 'expired' ? 'message expired in the broker' : 'message lost with the session',
        )
        break
      case 'requested':
        if (event.reasonCode === 0x10) seen.add('no subscriber (0x10 to the requester)')
        break
      case 'closed':
        closed = event.connection
        break
      case 'call-end':
        if (closed > 0) seen.add('call outlasted its connection')
        break
      case 'process':
        if (event.change === 'killed' || event.change === 'drained') seen.add(`process ${event.change}`)
        break
      case 'request-ack': {
        const acknowledged = openOn(event.connection).acknowledge(event.packetId, () => true)
        if (acknowledged?.passed !== undefined) seen.add('PUBACK overtook that of an earlier delivery')
        break
      }
      case 'log':
        if (event.text.includes('"intake_held_back"')) seen.add('intake paused')
        break
      case 'kept':
        seen.add('request in safekeeping')
        break
      case 'taken':
        seen.add('request taken from safekeeping by a later process')
        break
      case 'kept-answered':
      case 'acknowledged':
      case 'unknown-ack':
      case 'accepted':
      case 'call':
      case 'uncaught':
      case 'quiet':
      case 'leftover':
        break
    }
  }
  return seen
}

function partNames(event: HistoryEvent & { kind: 'publish' }, finals: Set<string>): string[] {
  const { isFinal, isError } = event.mark!
  if (!isFinal) return event.dup ? ['part with DUP'] : []
  if (isError) return ['final message with an error']
  const isRepeated = !event.dup && finals.has(event.content!)
  finals.add(event.content!)
  return isRepeated ? ['multi-part answer', 'repeated final message'] : ['multi-part answer']
}

function hex(code: number): string {
  return `0x${code.toString(16).padStart(2, '0')}`
}
