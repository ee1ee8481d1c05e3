// The front of the session room.
export type { Delivery } from './delivery.ts'
export type { PublishResult } from './outbox.ts'
export type { OutgoingMessage } from './publish-encoder.ts'
export { MqttSession, type SessionListener, type SessionOptions } from './session.ts'
