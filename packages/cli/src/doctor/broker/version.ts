// Reads the broker's version, which only brokers with $SYS topics publish, and only to users who may read them.
import { notChecked, ok, warning, type Check } from '../check.ts'
import { anyLink } from '../links.ts'

const VERSION_TOPIC = '$SYS/broker/version'
const BRIDGE_STATES = '$SYS/broker/connection/+/state'
const WAIT_MS = 500

export const brokerVersion: Check = {
  id: 'broker.version',
  title: "the broker's version is readable, and its bridges are connected",
  needs: ['broker.protocol'],
  run: async (context) => {
    const link = await anyLink(context)
    if (link === undefined) return notChecked('no login was accepted')
    await link.subscribe(VERSION_TOPIC)
    await link.subscribe(BRIDGE_STATES)
    const version = await link.first(({ topic }) => topic === VERSION_TOPIC, WAIT_MS)
    if (version === undefined) return ok('The broker does not publish its version to this user.')
    const name = version.payload.toString('utf8').slice(0, 100)
    const down = link.messages.filter(
      ({ topic, payload }) => topic.startsWith('$SYS/broker/connection/') && payload.toString() === '0',
    )
    if (down.length === 0) return ok(`The broker is ${name}.`)
    return down.map(({ topic }) =>
      warning(
        `The bridge "${topic.split('/')[3]}" of the broker (${name}) is not connected.`,
        'Check address, login and TLS of the bridge in the configuration of the broker.',
      ),
    )
  },
}
