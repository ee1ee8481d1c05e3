// Checks that a connection without traffic stays open: a proxy in front of the broker may close it early.
import { fault, notChecked, ok, type Check } from '../check.ts'

// Time for which a connection must be open without traffic. Proxies with longer limits are covered by the Keep Alive,
// see `broker.keep-alive`.
const IDLE_MS = 2_500

export const relayIdle: Check = {
  id: 'relay.idle',
  title: 'an idle connection stays open',
  needs: ['broker.protocol'],
  run: async ({ links: { idle }, config }) => {
    if (idle === undefined) return notChecked('no login was accepted')
    await idle.first(() => false, IDLE_MS - (performance.now() - idle.openedAtMs))
    if (idle.endedAtMs === undefined)
      return ok(`A connection without traffic was open for ${IDLE_MS / 1_000} s.`)
    const seconds = (idle.endedAtMs - idle.openedAtMs) / 1_000
    const keepAlive = 'value' in config ? config.value.broker.keepAliveSeconds : 30
    return fault(
      `A connection without traffic was closed after ${seconds.toFixed(1)} s, before its Keep Alive.`,
      `Raise the idle time limit of the proxy or load balancer in front of the broker above the Keep Alive (${keepAlive} s). Traefik before 2.11.3: --entrypoints.mqtt.transport.respondingTimeouts.readTimeout=0`,
    )
  },
}
