// Checks that the connector may publish statuses and model cards, and that clients can read them.
import { fault, ok, warning, type Check } from '../check.ts'
import { withBothSides } from '../both-sides.ts'
import type { DoctorContext } from '../context.ts'
import { stranger } from '../probe-topics.ts'
import { clientRule, connectorRule } from './acl-lines.ts'
import { deliver, hex } from './deliver.ts'

/** Statuses and cards. Each message is empty and retained, so nothing stays on the broker. */
export const accessAnnouncements: readonly Check[] = [
  announcementCheck('access.status', 'statuses', 'status', (context) =>
    context.topics.status(stranger(context)),
  ),
  announcementCheck('access.cards', 'model cards', 'models', (context) =>
    context.topics.card(stranger(context)),
  ),
]

function announcementCheck(
  id: string,
  what: string,
  level: string,
  topicOf: (context: DoctorContext) => string,
): Check {
  return {
    id,
    title: `${what} of the connector reach clients`,
    needs: ['broker.login?', 'broker.client-login?', 'broker.qos?', 'broker.retained?'],
    run: (context) =>
      withBothSides(context, async ({ connector, client }) => {
        const topic = topicOf(context)
        const { refusedBy, arrived } = await deliver({
          from: connector,
          to: client,
          topic,
          payload: '',
          retain: true,
          waitMs: context.messageMs,
        })
        if (arrived !== undefined) return ok(`The connector can publish ${what}, and clients can read them.`)
        const publishRule = connectorRule(context, 'write', `${level}/#`)
        const readRule = clientRule(context, 'read', `${level}/#`)
        if (refusedBy !== undefined) {
          return fault(
            `The broker does not let the connector publish ${what} (PUBACK ${hex(refusedBy)} on ${topic}).`,
            publishRule,
          )
        }
        if (connector.mqttVersion !== 5) {
          return fault(
            `The ${what} of the connector do not reach clients: the connector may not publish them, or clients may not read them.`,
            `${publishRule}\n${readRule}`,
          )
        }
        return warning(`The client cannot read ${what}.`, readRule)
      }),
  }
}
