// Gives checks that send messages between connector and client both connections.
import { notChecked, type Outcome } from './check.ts'
import type { DoctorContext } from './context.ts'
import { linkOf } from './links.ts'
import type { ProbeLink } from './mqtt/probe-link.ts'

/** Both connections, and the client's level in topics. */
export interface BothSides {
  readonly connector: ProbeLink
  readonly client: ProbeLink
  readonly identity: string
  /** Whether the client has logged in with a user name. */
  readonly hasUser: boolean
}

/** Calls `check` with both connections; otherwise returns why it cannot be called. */
export async function withBothSides(
  context: DoctorContext,
  check: (sides: BothSides) => Promise<Outcome> | Outcome,
): Promise<Outcome> {
  const { connector, client } = context
  if ('missing' in connector) return notChecked(connector.missing)
  if ('missing' in client) return notChecked(client.missing)
  const ofConnector = await linkOf(context, 'connector')
  if (ofConnector === undefined) return notChecked('broker.login failed')
  const ofClient = await linkOf(context, 'client')
  if (ofClient === undefined) return notChecked('broker.client-login failed')
  const { identity, target } = client.value
  const hasUser = target.username !== undefined
  return check({ connector: ofConnector, client: ofClient, identity, hasUser })
}
