// Checks that the broker accepts the logins of the connector and of the client, and opens their connections.
import { fault, notChecked, ok, type Check, type Finding, type Outcome } from '../check.ts'
import type { DoctorContext, Side } from '../context.ts'
import { openLink, type Role } from '../links.ts'
import { DialFailure, ProbeLink } from '../mqtt/probe-link.ts'
import { shownAddress } from '../mqtt/probe-target.ts'
import { probeClientId } from '../probe-topics.ts'

/** Opens the connector's connection. It uses a client identifier of its own, so a running connector is not disturbed. */
export const brokerLogin: Check = {
  id: 'broker.login',
  title: "the broker accepts the connector's login",
  needs: ['broker.protocol'],
  run: async (context) => {
    const { connector } = context
    return 'missing' in connector
      ? notChecked(connector.missing)
      : logIn(context, connector.value, 'connector')
  },
}

/** Opens the client's connection, and the idle connection that `relay.idle` checks. */
export const brokerClientLogin: Check = {
  id: 'broker.client-login',
  title: "the broker accepts the client's login",
  needs: ['broker.protocol'],
  run: async (context) => {
    const { client } = context
    return 'missing' in client ? notChecked(client.missing) : logIn(context, client.value, 'client')
  },
}

async function logIn(context: DoctorContext, { target, who }: Side, role: Role): Promise<Outcome> {
  try {
    await openLink(context, role)
    // No traffic reaches this connection before its Keep Alive has passed.
    context.links.idle ??= await ProbeLink.open(target, {
      timeoutMs: context.timeoutMs,
      clientId: probeClientId(context, 'idle'),
      keepAliveSeconds: IDLE_KEEP_ALIVE_SECONDS,
    })
    return ok(`${shownAddress(target)} accepts ${who}.`)
  } catch (error) {
    if (error instanceof DialFailure) return judgeRefusal(shownAddress(target), who, error, role)
    return fault(`The login of ${who} cannot be read: ${(error as Error).message}`, 'Check the file.')
  }
}

const IDLE_KEEP_ALIVE_SECONDS = 60

// Reason codes of CONNACK (MQTT 5 §3.2.2.2); 4 and 5 are those of MQTT 3.1.1 §3.2.2.3.
const BAD_LOGIN = new Set([4, 5, 0x86, 0x87, 0x8c])
const BAD_CLIENT_ID = new Set([2, 0x85])
const BUSY = new Set([3, 0x88, 0x89, 0x97, 0x9f])

/** Explains a refused CONNECT. */
export function judgeRefusal(address: string, who: string, failure: DialFailure, role: Role): Finding {
  const { reasonCode } = failure
  const code = reasonCode === undefined ? '' : ` (reason code 0x${reasonCode.toString(16).padStart(2, '0')})`
  const what = `The broker at ${address} refuses ${who}${code}`
  if (reasonCode === undefined) return fault(`${what}: ${failure.message}.`, 'Check the log of the broker.')
  if (BAD_LOGIN.has(reasonCode)) {
    const options =
      role === 'connector' ? 'broker.username and broker.passwordFile' : '-u and --password-file'
    return fault(
      `${what}: wrong user name or password.`,
      `Check ${options}. Check the password file of Mosquitto with: inferwire passwd --lint password.txt; a password: inferwire passwd --verify password.txt USER`,
    )
  }
  if (reasonCode === 0x8a) return fault(`${what}: the client is banned.`, 'Remove the ban on the broker.')
  if (BAD_CLIENT_ID.has(reasonCode)) {
    return fault(
      `${what}: it does not accept the client identifier.`,
      'Allow client identifiers that begin with "inferwire-" for this user.',
    )
  }
  if (BUSY.has(reasonCode)) {
    return fault(
      `${what}: it is busy or at its limit of connections.`,
      'Raise the limits of the broker, such as max_connections of Mosquitto.',
    )
  }
  return fault(`${what}: ${failure.message}.`, 'Check the log of the broker.')
}
