// Clears a retained test message, also after the connection that published it was lost.
import type { DoctorContext } from '../context.ts'
import { ProbeLink } from '../mqtt/probe-link.ts'
import { probeClientId } from '../probe-topics.ts'

/**
 * Clears the message on `connector`, or on a new connection if that one is lost or does not answer.
 * @throws Error if the broker does not accept the message that clears it
 */
export async function clearRetained(
  context: DoctorContext,
  connector: ProbeLink,
  topic: string,
): Promise<void> {
  try {
    await connector.publish(topic, '', { retain: true })
  } catch {
    await clearOnNewLink(context, topic)
  }
}

// The new connection is not one of the checks' connections: if the check has exceeded its time limit, those may have
// been closed already.
async function clearOnNewLink(context: DoctorContext, topic: string): Promise<void> {
  const { connector, timeoutMs, messageMs } = context
  if ('missing' in connector) throw new Error(connector.missing)
  let link: ProbeLink | undefined
  try {
    link = await ProbeLink.open(connector.value.target, {
      clientId: probeClientId(context, 'clear'),
      timeoutMs,
      ackMs: messageMs,
    })
    await link.publish(topic, '', { retain: true })
  } catch (cause) {
    throw new Error(
      `The broker did not clear the retained test message on ${topic}: ${(cause as Error).message}`,
      { cause },
    )
  } finally {
    await link?.close()
  }
}
