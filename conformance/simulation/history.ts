// The history of a run, event by event. It is the input of the verdict, and is printed for a failed seed.
import type { PartMark } from '../checkers/part-order.ts'
import type { Fault, PlannedRequest } from './scenario.ts'

/** Why the broker discarded a message; `clean start` = the connector requested a clean start. */
export type LossReason = 'expired' | 'session' | 'clean start'

/** Packets that the connector's socket receives and sends. */
export type WireEvent =
  | {
      kind: 'delivery'
      connection: number
      packetId: number
      message: number
      key: string
      isCancel: boolean
      dup: boolean
      expirySeconds: number | undefined
      qos: number
    }
  | { kind: 'request-ack'; connection: number; packetId: number }
  | {
      kind: 'publish'
      connection: number
      packetId: number
      dup: boolean
      qos: number
      retain: boolean
      topic: string
      correlation: string | undefined
      status: string | undefined
      code: string | undefined
      /** Request key, call number and part number that the body of the answer contains. */
      bodyKey: string | undefined
      bodyCall: number | undefined
      bodyPart: number | undefined
      /** Position in a multi-part answer; undefined for a single-message answer. */
      mark: PartMark | undefined
      /** Body of a final message, or a hash of it. */
      content: string | undefined
    }
  | { kind: 'publish-ack'; connection: number; packetId: number; reasonCode: number }

/** Events other than packets. Connections and processes are numbered throughout the run. */
export type OtherEvent =
  | {
      kind: 'requested'
      key: string
      isCancel: boolean
      message: number
      reasonCode: number
      expiresAtMs: number | undefined
    }
  | { kind: 'acknowledged'; message: number; key: string }
  | { kind: 'unknown-ack'; connection: number; packetId: number }
  | { kind: 'lost'; message: number; key: string; reason: LossReason }
  | { kind: 'accepted'; key: string | undefined; reasonCode: number; isPart: boolean }
  | {
      kind: 'connack'
      connection: number
      reasonCode: number
      sessionPresent: boolean
      receiveMaximum: number
    }
  | { kind: 'dialled'; process: number; connection: number }
  | { kind: 'closed'; connection: number }
  | { kind: 'call'; process: number; key: string; call: number }
  | { kind: 'call-end'; process: number; key: string; call: number; outcome: string }
  /** A request was put in safekeeping. It may be acknowledged, but this process or a later one must answer it. */
  | { kind: 'kept'; key: string }
  | { kind: 'kept-answered'; key: string }
  | { kind: 'taken'; process: number; key: string; receivedAtMs: number; expirySeconds: number | undefined }
  | { kind: 'process'; process: number; change: 'started' | 'killed' | 'draining' | 'drained' | 'ended' }
  | { kind: 'fault'; fault: Fault }
  | { kind: 'log'; process: number; text: string }
  | { kind: 'uncaught'; process: number | undefined; text: string }
  | { kind: 'quiet'; isQuiet: boolean; left: string }
  | { kind: 'leftover'; process: number; what: string }

/** An event of a run. */
export type RunEvent = WireEvent | OtherEvent

/** An event with its time in milliseconds since the start of the run. */
export type HistoryEvent = RunEvent & { atMs: number }

/** The input of the verdict. */
export interface History {
  readonly requests: ReadonlyMap<string, PlannedRequest>
  readonly limits: {
    readonly protocolVersion: 4 | 5
    readonly concurrency: number
    readonly modelTimeoutMs: number
    /**
     * Age of a delivery, in milliseconds, from which the PUBACK of a later delivery may overtake its own PUBACK.
     * Infinity = never, 0 = always.
     */
    readonly ackHoldMaxMs: number
    /** How long an answer is remembered if its request has no Message Expiry Interval (D5), in milliseconds. */
    readonly duplicateWindowMs: number
  }
  readonly events: readonly HistoryEvent[]
}

/** Formats each event as one line. */
export function printHistory(events: readonly HistoryEvent[]): string {
  return events.map(printEvent).join('\n')
}

function printEvent({ atMs, kind, ...rest }: HistoryEvent): string {
  const fields = Object.entries(rest)
    .filter(([, value]) => value !== undefined && value !== false)
    .map(([name, value]) => (value === true ? name : `${name}=${print(name, value)}`))
  return `${atMs.toFixed(3).padStart(12)} ${kind.padEnd(13)} ${fields.join(' ')}`
}

function print(name: string, value: unknown): string {
  if (name === 'reasonCode') return `0x${(value as number).toString(16).padStart(2, '0')}`
  return typeof value === 'string' ? value : JSON.stringify(value)
}
