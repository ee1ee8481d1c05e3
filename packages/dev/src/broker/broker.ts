// What every kind of broker is, and what it is started with.
import type { BrokerAccess } from './access.ts'

/** A broker that can be used. */
export interface Broker {
  readonly kind: 'embedded' | 'mosquitto' | 'external'
  /** `mqtt://host:port` */
  readonly url: string
  /** `ws://host:port`, where it listens for WebSocket. */
  readonly wsUrl?: string | undefined
  /** Ends it, where it is ours. */
  close(): Promise<void>
}

/** Where a broker of ours listens. */
export interface BrokerOptions {
  /** A loopback address: nothing is encrypted. @default 127.0.0.1 */
  readonly host?: string
  /** 0 = any free port */
  readonly mqttPort: number
  /** 0 = any free port */
  readonly wsPort: number
  /** Who may log in, and do what; the embedded broker only. @default everybody may do everything */
  readonly access?: BrokerAccess | undefined
  /** Gets one line for every connection that was refused or cut off, and why. */
  readonly log?: ((line: string) => void) | undefined
}
