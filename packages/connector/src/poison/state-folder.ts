// Determines a connector's state folder.
import { hash } from 'node:crypto'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** The parts of the configuration that determine a connector's state folder, which outlives its process. */
export interface StatePlace {
  readonly poison: { readonly stateFolder?: string | undefined }
  readonly broker: { readonly clientId: string; readonly url: string }
}

/** Returns the configured state folder, or the default one. */
export function stateFolderOf({ poison, broker }: StatePlace): string {
  return poison.stateFolder ?? defaultStateFolder(broker.clientId, broker.url)
}

/**
 * Each connector has its own folder: its client identifier and broker distinguish it from the user's other connectors.
 */
function defaultStateFolder(clientId: string, brokerUrl: string): string {
  const home = process.env['XDG_STATE_HOME']
  const state = home === undefined || home === '' ? join(homedir(), '.local', 'state') : home
  const readable = clientId.replaceAll(/[^\w-]/g, '_').slice(0, 64)
  return join(
    state,
    'inferwire',
    `${readable}-${hash('sha1', `${clientId} ${brokerUrl}`, 'hex').slice(0, 8)}`,
  )
}
