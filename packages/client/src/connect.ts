// connect(): the way in.
import { Client } from './client.ts'
import { dialMqtt } from './mqtt-connection.ts'
import { resolveSettings, type ConnectOptions } from './options.ts'

/**
 * Connects to a broker and subscribes to the replies of this client.
 * @param brokerUrl `mqtt://`, `mqtts://`, `ws://` or `wss://`; user name and password in it are used
 * @throws InferwireError `broker_unreachable` or `not_authorized`; TypeError for options that make no sense
 */
export async function connect(brokerUrl: string | URL, options: ConnectOptions = {}): Promise<Client> {
  return await Client.open(resolveSettings(brokerUrl, options), dialMqtt)
}
