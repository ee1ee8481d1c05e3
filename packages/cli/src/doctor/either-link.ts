// Chooses a connection for checks that need any user.
import type { Links } from './context.ts'
import type { ProbeLink } from './mqtt/probe-link.ts'

/** Returns the connector's connection, or else the client's. */
export function eitherLink({ connector, client }: Links): ProbeLink | undefined {
  return connector ?? client
}
