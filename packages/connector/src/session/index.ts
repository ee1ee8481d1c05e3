// The session room: one MQTT session with the broker. It connects and comes back, subscribes, yields deliveries, lets
// their PUBACKs leave in the order of arrival, and publishes until the broker has acknowledged.
export type { Keeper } from './ack-order.ts'
export type { ReceivedDelivery } from './delivery.ts'
export type { OutgoingMessage } from './publish-encoder.ts'
export { publishRefusal } from './refusal.ts'
export { MqttSession } from './session.ts'
export type { SessionListener, SessionOptions } from './session-options.ts'
