// Builds the PUBLISH packet for an outcome from an allow-list of properties: nothing else is copied from the request or
// from the upstream's headers.
import { isUtf8 } from 'node:buffer'
import { PROPERTY, type MessageProperties, type Problem } from '@inferwire/protocol'
import type { EndpointResponse, ReplyPart, ReplyTarget } from '../step.ts'

/** A reply to publish: an outgoing message of the session. */
export interface Reply {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 0 | 1
  readonly retain: false
  readonly properties: MessageProperties
}

/** The data of a reply that does not depend on whether the request succeeded. */
export interface ReplyContext {
  /** Remaining seconds of the request's Message Expiry Interval; undefined if it had none. */
  readonly expirySeconds: number | undefined
  /** Milliseconds before and during the call to the model server; `upstreamMs` is undefined if there was no call. */
  readonly queueMs: number
  readonly upstreamMs: number | undefined
  /**
   * Milliseconds that the request waited in a batch, after `queueMs` and before `upstreamMs`; undefined without
   * batching.
   */
  readonly batchMs?: number | undefined
  /** The request's trace context, if it had a valid one. */
  readonly traceparent: string | undefined
  /** How many parts of the answer were published before this reply; 0 if this reply is the whole answer. */
  readonly partsSent: number
  /** Whether the reply ends a stream whose parts were sent for another delivery; their number is unknown. */
  readonly endsUncountedStream?: boolean
}

const JSON_TYPE = 'application/json'
const encoder = new TextEncoder()

/** Builds the reply that contains a model's answer, byte for byte. */
export function successReply(target: ReplyTarget, response: EndpointResponse, context: ReplyContext): Reply {
  const user = [PROPERTY.status, String(response.status), PROPERTY.serverTiming, serverTiming(context)]
  if (response.inferenceHeaderContentLength !== undefined) {
    user.push(PROPERTY.inferenceHeaderContentLength, response.inferenceHeaderContentLength)
  }
  const { usage, endsStream = false } = response
  if (usage !== undefined) {
    user.push(PROPERTY.promptTokens, String(usage.promptTokens))
    user.push(PROPERTY.completionTokens, String(usage.completionTokens))
  }
  return reply(target, response.body, response.contentType, user, context, endsStream)
}

/** Builds one part of a streamed answer; `seq` counts from 0. The final reply contains status and timing. */
export function partReply(
  target: ReplyTarget,
  { body, contentType }: ReplyPart,
  seq: number,
  expirySeconds: number | undefined,
): Reply {
  return message(target, body, contentType, [PROPERTY.seq, String(seq)], expirySeconds)
}

/**
 * Builds the reply for a problem. Its body is the error body of the model server, if the server sent one, otherwise our
 * own.
 */
export function problemReply(target: ReplyTarget, problem: Problem, context: ReplyContext): Reply {
  const user = [
    PROPERTY.status,
    String(problem.status),
    PROPERTY.code,
    problem.code,
    PROPERTY.serverTiming,
    serverTiming(context),
  ]
  const body = problem.body ?? encoder.encode(JSON.stringify(problem.toBody()))
  const contentType = problem.body === undefined ? JSON_TYPE : (problem.contentType ?? JSON_TYPE)
  // After a redelivery, an earlier process may have published parts; only the client knows how many.
  const isUncounted =
    context.partsSent === 0 && (context.endsUncountedStream === true || problem.code === 'stream_interrupted')
  if (isUncounted) user.push(PROPERTY.final, 'true')
  return reply(target, body, contentType, user, context)
}

function reply(
  target: ReplyTarget,
  payload: Uint8Array,
  contentType: string,
  userProperties: string[],
  context: ReplyContext,
  endsStream = false,
): Reply {
  // These two properties mark the end of a streamed answer; a single-message answer has neither.
  if (context.partsSent > 0 || endsStream)
    userProperties.push(PROPERTY.seq, String(context.partsSent), PROPERTY.final, 'true')
  if (context.traceparent !== undefined) userProperties.push(PROPERTY.traceparent, context.traceparent)
  return message(target, payload, contentType, userProperties, context.expirySeconds)
}

function message(
  target: ReplyTarget,
  payload: Uint8Array,
  contentType: string,
  userProperties: string[],
  expirySeconds: number | undefined,
): Reply {
  const properties: MessageProperties = { userProperties }
  // RFC 9110 §8.3: a content type describes content. A model server may report that a model is ready by its status
  // alone, without a body.
  if (payload.length > 0) properties.contentType = contentType
  // MQTT 5 §3.3.2.3.2: 1 means UTF-8. JSON must be UTF-8 (RFC 8259 §8.1), but a model's response may violate this.
  if (payload.length > 0 && contentType === JSON_TYPE && isUtf8(payload)) {
    properties.payloadFormatIndicator = 1
  }
  if (target.correlationData !== undefined) properties.correlationData = target.correlationData
  if (expirySeconds !== undefined) properties.messageExpiryInterval = expirySeconds
  return { topic: target.topic, payload, qos: target.qos, retain: false, properties }
}

// Rounds times to tenths of a millisecond, because the clock is not usefully more precise.
function serverTiming({ queueMs, batchMs, upstreamMs }: ReplyContext): string {
  const queue = `queue;dur=${tenths(queueMs)}`
  const batch = batchMs === undefined ? '' : `, batch;dur=${tenths(batchMs)}`
  return upstreamMs === undefined
    ? `${queue}${batch}`
    : `${queue}${batch}, upstream;dur=${tenths(upstreamMs)}`
}

function tenths(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10
}
