// The topics that the checks use. No other client uses them, and nothing stays on the broker.
import type { DoctorContext } from './context.ts'

/**
 * The model level of the topics. No model should have this name; a connector answers `model_not_found`. Because of the
 * underscore, discovery never gives this name to a model, so the name belongs to no connector.
 */
const PROBE_MODEL = 'inferwire_doctor'
const STRANGER = 'inferwire-doctor'

/** Returns the request topic of one step, below the client's own level. */
export function requestTopic({ topics, nonce }: DoctorContext, client: string, step: string): string {
  return topics.request(client, PROBE_MODEL, 'infer', `${nonce}/${step}`)
}

/** Returns the cancel topic of one step. */
export function cancelTopic({ topics, nonce }: DoctorContext, client: string, step: string): string {
  return topics.cancel(client, PROBE_MODEL, 'infer', `${nonce}/${step}`)
}

/** Returns the reply topic of one step, which follows from its request topic. */
export function replyTopic(context: DoctorContext, client: string, step: string): string {
  return context.topics.replyTopicOf(requestTopic(context, client, step))!
}

/** Returns the name of a client, a connector and a model that do not exist. */
export function stranger({ nonce }: DoctorContext): string {
  return `${STRANGER}-${nonce}`
}

/** Returns a client identifier that no other client has. */
export function probeClientId({ nonce }: DoctorContext, role: string): string {
  return `${STRANGER}-${nonce}-${role}`
}
