// Checks that the broker's host name can be resolved.
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { fault, ok, type Check } from '../check.ts'
import { placeOf } from '../mqtt/probe-target.ts'
import { eachPlace } from './each-place.ts'

export const brokerAddress: Check = {
  id: 'broker.address',
  title: "the broker's host name can be resolved",
  needs: [],
  run: (context) => {
    if (context.sides.length === 0) {
      const { client } = context
      return { state: 'skipped', message: 'missing' in client ? client.missing : '' }
    }
    return eachPlace(context, async ({ target }) => {
      const { host } = placeOf(target)
      if (isIP(host) !== 0) return ok(`${host} is an IP address.`)
      try {
        const addresses = await lookup(host, { all: true })
        return ok(`${host} resolves to ${addresses.map(({ address }) => address).join(', ')}.`)
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code ?? 'error'
        return fault(
          `The host name "${host}" of the broker cannot be resolved (${code}).`,
          `Check the host in broker.url or -h.${inClusterHint(host)}`,
        )
      }
    })
  },
}

// Names of Services exist only inside the cluster.
function inClusterHint(host: string): string {
  return /\.svc(\.|$)/.test(host)
    ? ' The name of a Service can be resolved only inside the cluster; outside, use the address of the load balancer.'
    : ''
}
