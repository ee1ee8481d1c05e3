// Provides the broker of `inferwire dev`: the embedded broker, a Mosquitto process that the command starts, or a
// broker that is already running.
import type { Broker, BrokerOptions } from './broker.ts'
import { startEmbeddedBroker } from './embedded.ts'
import { useExternalBroker } from './external.ts'
import { startMosquittoBroker } from './mosquitto.ts'

export type { Broker } from './broker.ts'
export { readAccess, type BrokerAccess, type BrokerLogin } from './access.ts'
export { explainPort, PortTakenError } from './port-taken.ts'

/**
 * Starts or checks the broker. `choice` is `embedded`, `mosquitto` or the URL of a running broker.
 * @throws PortTakenError, or an Error with the reason and the remedy
 */
export async function startBroker(choice: string, options: BrokerOptions): Promise<Broker> {
  if (choice !== 'embedded' && options.access !== undefined) {
    throw new Error(
      'The password file requires the embedded broker. Omit --broker, or configure the password file in your broker.',
    )
  }
  if (choice === 'embedded') return await startEmbeddedBroker(options)
  if (choice === 'mosquitto') return await startMosquittoBroker(options)
  if (/^(?:mqtts?|wss?):\/\//.test(choice)) return await useExternalBroker(choice)
  throw new Error(
    `Broker "${choice}" is not one of: embedded, mosquitto, or a URL such as mqtt://127.0.0.1:1883.`,
  )
}
