// The entry point of the SDK.
import { Client } from './client.ts'
import { dialMqtt } from './mqtt-connection.ts'
import { resolveSettings, type ConnectOptions } from './options.ts'

/**
 * Connects to a broker, and subscribes to this client's replies.
 * @param brokerUrl `mqtt://`, `mqtts://`, `ws://` or `wss://`; may contain a user name and a password
 * @throws InferwireError `broker_unreachable` or `not_authorized`; TypeError for invalid options
 */
export async function connect(brokerUrl: string | URL, options: ConnectOptions = {}): Promise<Client> {
  return await Client.open(resolveSettings(brokerUrl, options), dialMqtt)
}
