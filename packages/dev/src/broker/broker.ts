// The interface of all kinds of brokers, and their options.
import type { BrokerAccess } from './access.ts'

/** A running broker. */
export interface Broker {
  readonly kind: 'embedded' | 'mosquitto' | 'external'
  /** `mqtt://host:port` */
  readonly url: string
  /** `ws://host:port`; undefined if the broker does not accept WebSocket connections. */
  readonly wsUrl?: string | undefined
  /** Stops the broker, unless it is external. */
  close(): Promise<void>
}

/** The options of a broker that this process starts. */
export interface BrokerOptions {
  /** A loopback address, because connections are not encrypted. @default 127.0.0.1 */
  readonly host?: string
  /** 0 = any free port */
  readonly mqttPort: number
  /** 0 = any free port */
  readonly wsPort: number
  /** Logins and access rights; embedded broker only. @default no login, and every topic is allowed */
  readonly access?: BrokerAccess | undefined
  /** Receives one log line, which includes the reason, for each connection that the broker refuses or closes. */
  readonly log?: ((line: string) => void) | undefined
}
