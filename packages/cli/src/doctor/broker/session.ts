// Checks that the broker keeps a session as long as the connector asks.
import type { ConnectorConfig } from '@inferwire/connector'
import { fault, notChecked, ok, type Check, type Finding } from '../check.ts'
import { ProbeLink } from '../mqtt/probe-link.ts'
import { probeClientId } from '../probe-topics.ts'

export const brokerSession: Check = {
  id: 'broker.session',
  title: 'the broker keeps the session of a disconnected connector',
  needs: ['broker.login'],
  run: async (context) => {
    const { connector, config } = context
    if ('missing' in connector) return notChecked(connector.missing)
    if ('missing' in config) return notChecked(config.missing)
    const { broker } = config.value
    if (broker.mqttVersion !== 5) return ok('MQTT 3.1.1 has no Session Expiry Interval.')
    const options = { clientId: probeClientId(context, 'session'), timeoutMs: context.timeoutMs }
    const { target } = connector.value
    const link = await ProbeLink.open(target, {
      ...options,
      sessionExpirySeconds: broker.sessionExpirySeconds,
    })
    const given = link.connack.properties?.sessionExpiryInterval
    await link.endSession()
    // DISCONNECT may have been lost. A connection with Clean Start and without a Session Expiry Interval removes the
    // session (MQTT 5 §3.1.2.4).
    const last = await ProbeLink.open(target, options)
    await last.close()
    return judgeExpiry(given, broker)
  },
}

/** Compares the Session Expiry Interval of CONNACK with the configured one, both in seconds. */
export function judgeExpiry(
  given: number | undefined,
  { sessionExpirySeconds }: Pick<ConnectorConfig['broker'], 'sessionExpirySeconds'>,
): Finding {
  if (given === undefined || given >= sessionExpirySeconds) {
    return ok(`The broker keeps a session for ${given ?? sessionExpirySeconds} s.`)
  }
  return fault(
    `The broker keeps a session for only ${given} s instead of the ${sessionExpirySeconds} s of broker.sessionExpirySeconds, and then discards the queued requests.`,
    `Raise the limit for the Session Expiry Interval on the broker to ${sessionExpirySeconds} s.`,
  )
}
