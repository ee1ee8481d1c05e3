// Outcome -> PUBLISH. Built from an allow-list: nothing of the request or of the upstream's headers is copied.
import { isUtf8 } from 'node:buffer'
import { PROPERTY, type MessageProperties, type Problem } from '@inferwire/protocol'
import type { EndpointResponse, ReplyPart, ReplyTarget } from '../step.ts'

/** What is published; the session's outgoing message. */
export interface Reply {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 0 | 1
  readonly retain: false
  readonly properties: MessageProperties
}

/** What every reply says beside its outcome. */
export interface ReplyContext {
  /** What is left of the request's Message Expiry Interval in seconds; undefined when it had none. */
  readonly expirySeconds: number | undefined
  /** Milliseconds before the model server was called, and with it; undefined when it was not called. */
  readonly queueMs: number
  readonly upstreamMs: number | undefined
  /** The request's trace context, where it had a valid one. */
  readonly traceparent: string | undefined
  /** Parts of the answer that went out before; 0 = this reply is the whole answer. */
  readonly partsSent: number
}

const JSON_TYPE = 'application/json'
const encoder = new TextEncoder()

/** The reply that carries a model's answer, byte for byte. */
export function successReply(target: ReplyTarget, response: EndpointResponse, context: ReplyContext): Reply {
  const user = [PROPERTY.status, String(response.status), PROPERTY.serverTiming, serverTiming(context)]
  if (response.inferenceHeaderContentLength !== undefined) {
    user.push(PROPERTY.inferenceHeaderContentLength, response.inferenceHeaderContentLength)
  }
  return reply(target, response.body, response.contentType, user, context)
}

/** One part of an answer in parts; `seq` counts from 0. The reply that ends the answer carries status and timing. */
export function partReply(
  target: ReplyTarget,
  { body, contentType }: ReplyPart,
  seq: number,
  expirySeconds: number | undefined,
): Reply {
  return message(target, body, contentType, [PROPERTY.seq, String(seq)], expirySeconds)
}

/** The reply that carries an error: the model server's own body where it sent one, else ours. */
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
  return reply(target, body, contentType, user, context)
}

function reply(
  target: ReplyTarget,
  payload: Uint8Array,
  contentType: string,
  userProperties: string[],
  context: ReplyContext,
): Reply {
  // The end of an answer in parts; a whole answer has neither property.
  if (context.partsSent > 0)
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
  // RFC 9110 §8.3: a type belongs to content. A model may say by its status alone that it is ready.
  if (payload.length > 0) properties.contentType = contentType
  // MQTT 5 §3.3.2.3.2: 1 promises UTF-8, which JSON must be (RFC 8259 §8.1) and a model's need not be.
  if (payload.length > 0 && contentType === JSON_TYPE && isUtf8(payload)) {
    properties.payloadFormatIndicator = 1
  }
  if (target.correlationData !== undefined) properties.correlationData = target.correlationData
  if (expirySeconds !== undefined) properties.messageExpiryInterval = expirySeconds
  return { topic: target.topic, payload, qos: target.qos, retain: false, properties }
}

// Tenths of a millisecond: what the clock can tell and a reader wants.
function serverTiming({ queueMs, upstreamMs }: ReplyContext): string {
  const queue = `queue;dur=${tenths(queueMs)}`
  return upstreamMs === undefined ? queue : `${queue}, upstream;dur=${tenths(upstreamMs)}`
}

function tenths(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10
}
