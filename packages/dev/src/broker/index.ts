// The broker of `inferwire dev`: in this process, a Mosquitto of its own, or one that runs already.
import type { Broker, BrokerOptions } from './broker.ts'
import { startEmbeddedBroker } from './embedded.ts'
import { useExternalBroker } from './external.ts'
import { startMosquittoBroker } from './mosquitto.ts'

export type { Broker } from './broker.ts'
export { readAccess, type BrokerAccess, type BrokerLogin } from './access.ts'
export { explainPort, PortTakenError } from './port-taken.ts'

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
