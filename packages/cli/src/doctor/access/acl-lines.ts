// The access rules that a remedy prints, in the format of Mosquitto's ACL file.
import type { DoctorContext } from '../context.ts'

/** Returns lines that grant a right to the connector's user. */
export function connectorRule({ connector, topics }: DoctorContext, right: string, filter: string): string {
  const user = 'value' in connector ? (connector.value.target.username ?? '') : ''
  const first = user === '' ? '(before the first "user" line, for anonymous clients)' : `user ${user}`
  return `In the ACL file of Mosquitto:\n${first}\ntopic ${right} ${topics.root}/${filter}`
}

/** Returns a line that grants every user a right below its own name, or to topics that all users share. */
export function clientRule({ topics }: DoctorContext, right: string, filter: string): string {
  return `In the ACL file of Mosquitto:\npattern ${right} ${topics.root}/${filter}`
}

/** Advice for rules that grant too much. */
export function tooMuch(right: string, filter: string, context: DoctorContext): string {
  return `Remove the rule that grants clients more than their own topics, such as "topic readwrite #". The access rules of Mosquitto that Inferwire needs are printed by: inferwire manifests --only mosquitto. This rule is enough:\npattern ${right} ${context.topics.root}/${filter}`
}
