// Holds the MQTT session with the broker: connects and reconnects, subscribes, receives deliveries, sends their PUBACKs
// in the order of arrival, and resends publishes until the broker has acknowledged them.
export type { Keeper } from './ack-order.ts'
export type { ReceivedDelivery } from './delivery.ts'
export type { OutgoingMessage } from './publish-encoder.ts'
export { publishRefusal } from './refusal.ts'
export { MqttSession } from './session.ts'
export type { SessionListener, SessionOptions } from './session-options.ts'
