// The session room: one MQTT session with the broker. It connects and comes back, subscribes, yields deliveries, lets
// their PUBACKs leave in the order of arrival, and publishes until the broker has acknowledged.
export type { ReceivedDelivery as Delivery } from './delivery.ts'
export type { PublishResult } from './outbox.ts'
export type { OutgoingMessage } from './publish-encoder.ts'
export { MqttSession, type SessionListener } from './session.ts'
