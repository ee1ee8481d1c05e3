// Checks that the port speaks MQTT, in the configured version, and finds out what speaks there otherwise.
import { fault, ok, type Check, type Finding } from '../check.ts'
import type { DoctorContext } from '../context.ts'
import { findContact, type Contact } from '../mqtt/first-contact.ts'
import { DialFailure, ProbeLink } from '../mqtt/probe-link.ts'
import { isTls, shownAddress, type ProbeTarget } from '../mqtt/probe-target.ts'
import { probeClientId } from '../probe-topics.ts'
import { eachPlace } from './each-place.ts'

export const brokerProtocol: Check = {
  id: 'broker.protocol',
  title: 'the port speaks the configured MQTT version',
  needs: ['broker.port', 'broker.tls?'],
  run: (context) => eachPlace(context, ({ target }) => speak(context, target)),
}

async function speak(context: DoctorContext, target: ProbeTarget): Promise<Finding> {
  const address = shownAddress(target)
  const { mqttVersion } = target
  if (await answers(context, target, mqttVersion)) return ok(`${address} speaks MQTT ${mqttVersion}.`)
  const other = mqttVersion === 5 ? '3.1.1' : 5
  if (await answers(context, target, other)) return wrongVersion(address, other)
  // The diagnosis needs the bytes below TLS and WebSocket.
  const isPlain = !isTls(target) && target.url.protocol === 'mqtt:'
  return judgeContact(target, isPlain ? await findContact(target, context.timeoutMs / STEPS) : 'closed')
}

// CONNACK in any form shows the version: a refused login is checked later. No login is sent before it is known that a
// broker of the right version listens.
async function answers(context: DoctorContext, target: ProbeTarget, version: 5 | '3.1.1'): Promise<boolean> {
  try {
    const link = await ProbeLink.open(target, {
      clientId: probeClientId(context, 'version'),
      timeoutMs: context.timeoutMs / STEPS,
      mqttVersion: version,
      isAnonymous: true,
    })
    await link.close()
    return true
  } catch (error) {
    if (!(error instanceof DialFailure)) throw error
    const { reasonCode } = error
    return reasonCode !== undefined && reasonCode !== 1 && reasonCode !== UNSUPPORTED_VERSION
  }
}

const UNSUPPORTED_VERSION = 0x84
// The diagnosis connects up to five times, each of which may have to wait for its time limit.
const STEPS = 6

function wrongVersion(address: string, spoken: 5 | '3.1.1'): Finding {
  return spoken === 5
    ? fault(`${address} speaks MQTT 5, but not MQTT 3.1.1.`, 'Use MQTT 5: broker.mqttVersion: 5, or -V 5.')
    : fault(
        `${address} speaks only MQTT 3.1.1, without Response Topic, Correlation Data and user properties.`,
        "Use a broker with MQTT 5, or set broker.mqttVersion: '3.1.1' (for clients: -V 3.1.1).",
      )
}

/** Explains what answered on the port instead of an MQTT broker. */
export function judgeContact(target: ProbeTarget, contact: Contact): Finding {
  const address = shownAddress(target)
  switch (contact) {
    case 'tls':
      return fault(
        `The port of ${address} uses TLS.`,
        `Use mqtts:// in broker.url (for clients: -p 8883, or --broker mqtts://...), or the port without TLS.`,
      )
    case 'web':
      return fault(
        `A web server answers on ${address}.`,
        'Use the MQTT port of the broker (1883 by convention), or ws:// for MQTT over WebSocket.',
      )
    case 'proxy-protocol':
      return fault(
        `The listener at ${address} expects the PROXY protocol, so it accepts only connections from a proxy.`,
        'Connect through the proxy, or add a listener without enable_proxy_protocol for clients inside the cluster.',
      )
    case 'silent':
      return fault(
        `${address} accepts connections, but does not answer CONNECT.`,
        'Check that the proxy in front of the broker reaches it: Service, endpoints and TCP route.',
      )
    case 'mqtt':
    case 'other':
    case 'closed':
      return fault(
        `${address} closes the connection instead of answering CONNECT.`,
        'Check that this is the MQTT port, and that the proxy in front of the broker has a route to a running broker. The log of the broker shows the reason.',
      )
  }
}
