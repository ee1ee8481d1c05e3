// The broker of `inferwire dev`: in this process, a Mosquitto of its own, or one that runs already.
import { startEmbeddedBroker } from './embedded.ts'
import { useExternalBroker } from './external.ts'
import { startMosquittoBroker } from './mosquitto.ts'

export { explainPort, PortTakenError } from './port-taken.ts'

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
  /** A loopback address: nobody is asked for a password. @default 127.0.0.1 */
  readonly host?: string
  /** 0 = any free port */
  readonly mqttPort: number
  /** 0 = any free port */
  readonly wsPort: number
  /** Gets one line for every connection that was refused or cut off, and why. */
  readonly log?: ((line: string) => void) | undefined
}

/**
 * `choice` is `embedded`, `mosquitto` or the URL of a running broker.
 * @throws PortTakenError, or an Error that says what is missing and what to do.
 */
export async function startBroker(choice: string, options: BrokerOptions): Promise<Broker> {
  if (choice === 'embedded') return await startEmbeddedBroker(options)
  if (choice === 'mosquitto') return await startMosquittoBroker(options)
  if (/^(?:mqtts?|wss?):\/\//.test(choice)) return await useExternalBroker(choice)
  throw new Error(
    `Broker "${choice}" is not one of: embedded, mosquitto, or a URL such as mqtt://127.0.0.1:1883.`,
  )
}
