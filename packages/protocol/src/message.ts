// The MQTT application message, independent of the protocol version.

/** Quality of Service of an application message. */
export type QoS = 0 | 1 | 2

/** The PUBLISH properties that the contract uses (MQTT 5 §3.3.2.3). Absent on MQTT 3.1.1. */
export interface MessageProperties {
  /** 1 = the payload is UTF-8 text. */
  payloadFormatIndicator?: number
  /** Seconds until the message expires. */
  messageExpiryInterval?: number
  contentType?: string
  responseTopic?: string
  correlationData?: Uint8Array
  /** Alternating names and values: `[name, value, name, value, …]`, in order and with repetitions. */
  userProperties?: string[]
}

/** The user properties of the contract. */
export const PROPERTY = {
  /** Reply: HTTP-like status. */
  status: 'status',
  /** Reply, on errors: the problem code. */
  code: 'code',
  /** Multi-part reply: the number of the part, counted from 0. */
  seq: 'seq',
  /** Multi-part reply: `true` on the last part. */
  final: 'final',
  /** Reply: durations of the phases, as in HTTP Server-Timing. */
  serverTiming: 'server-timing',
  /** Request: deadline in milliseconds; Message Expiry Interval only allows whole seconds. */
  timeoutMs: 'timeout-ms',
  /** Request: priority class from 0 to 9; requests of a higher class run first. */
  priority: 'priority',
  /** Request: how long the deltas of a stream may be collected into one part, in milliseconds. */
  coalesceMs: 'coalesce-ms',
  /** Reply, on the only or last message: token counts that the model server reported. */
  promptTokens: 'prompt-tokens',
  completionTokens: 'completion-tokens',
  /** Request and reply: number of JSON bytes before the binary tensors (V2 binary tensor extension). */
  inferenceHeaderContentLength: 'inference-header-content-length',
  /** Request and reply: W3C trace context. */
  traceparent: 'traceparent',
  tracestate: 'tracestate',
} as const

/** The highest value of `coalesce-ms`. */
export const COALESCE_MS_MAX = 10_000

/** Returns the first value of a user property, or undefined. `properties` is a flat name/value list. */
export function userProperty(properties: readonly string[] | undefined, name: string): string | undefined {
  if (properties === undefined) return undefined
  for (let index = 0; index < properties.length; index += 2) {
    if (properties[index] === name) return properties[index + 1]
  }
  return undefined
}
