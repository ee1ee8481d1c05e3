// The MQTT connections of the checks: opened by the login checks, and opened again if a check lost one.
import type { DoctorContext } from './context.ts'
import { ProbeLink } from './mqtt/probe-link.ts'
import { probeClientId } from './probe-topics.ts'

/** Whose login a connection uses. */
export type Role = 'connector' | 'client'

/** Opens the connection of a role. @throws DialFailure, or an error about a file */
export async function openLink(context: DoctorContext, role: Role): Promise<ProbeLink> {
  const side = context[role]
  if ('missing' in side) throw new Error(side.missing)
  const link = await ProbeLink.open(side.value.target, {
    clientId: probeClientId(context, role),
    timeoutMs: context.timeoutMs,
    ackMs: context.messageMs,
  })
  context.links[role] = link
  return link
}

/** Returns the open connection of a role; undefined if its login was not accepted. */
export async function linkOf(context: DoctorContext, role: Role): Promise<ProbeLink | undefined> {
  const link = context.links[role]
  return link === undefined || link.isOpen ? link : await openLink(context, role)
}

/** Returns the connector's connection, or else the client's; undefined if neither login was accepted. */
export async function anyLink(
  context: DoctorContext,
  first: Role = 'connector',
): Promise<ProbeLink | undefined> {
  const second = first === 'connector' ? 'client' : 'connector'
  return (await linkOf(context, first)) ?? (await linkOf(context, second))
}
