// The broker of `inferwire dev`: in this process, a Mosquitto of its own, or one that runs already.
import type { BrokerAccess } from './access.ts'
import { startEmbeddedBroker } from './embedded.ts'
import { useExternalBroker } from './external.ts'
import { startMosquittoBroker } from './mosquitto.ts'

export { readAccess, type BrokerAccess, type BrokerLogin } from './access.ts'
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

/**
 * `choice` is `embedded`, `mosquitto` or the URL of a running broker.
 * @throws PortTakenError, or an Error that says what is missing and what to do.
 */
export async function startBroker(choice: string, options: BrokerOptions): Promise<Broker> {
  if (choice !== 'embedded' && options.access !== undefined) {
    throw new Error(
      'A password file is for the embedded broker. Leave out --broker, or give the file to that broker itself.',
    )
  }
  if (choice === 'embedded') return await startEmbeddedBroker(options)
  if (choice === 'mosquitto') return await startMosquittoBroker(options)
  if (/^(?:mqtts?|wss?):\/\//.test(choice)) return await useExternalBroker(choice)
  throw new Error(
    `Broker "${choice}" is not one of: embedded, mosquitto, or a URL such as mqtt://127.0.0.1:1883.`,
  )
}
