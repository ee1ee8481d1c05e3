// The front of the session room.
export type { BrokerLimits } from './broker-limits.ts'
export type { Delivery } from './delivery.ts'
export type { PublishResult } from './outbox.ts'
export type { OutgoingMessage } from './publish-encoder.ts'
export { SessionRefusal } from './refusal.ts'
export { MqttSession, type SessionListener, type SessionOptions } from './session.ts'
