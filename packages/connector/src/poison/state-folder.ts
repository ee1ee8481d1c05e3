// Where the journal is kept when the configuration does not say.
import { hash } from 'node:crypto'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** A folder of this connector alone: client identifier and broker tell it from others of the same user. */
export function defaultStateFolder(clientId: string, brokerUrl: string): string {
  const home = process.env['XDG_STATE_HOME']
  const state = home === undefined || home === '' ? join(homedir(), '.local', 'state') : home
  const readable = clientId.replaceAll(/[^\w-]/g, '_').slice(0, 64)
  return join(
    state,
    'inferwire',
    `${readable}-${hash('sha1', `${clientId} ${brokerUrl}`, 'hex').slice(0, 8)}`,
  )
}
