// Which WebSocket upgrades come from this machine.
import type { IncomingMessage } from 'node:http'

/**
 * Any web page may open a WebSocket to this machine, and rebind a name of its own to it: only pages that this
 * machine serves over http are let in. Programs send no Origin.
 */
export function isLocal(origin: string | undefined, request: Pick<IncomingMessage, 'headers'>): boolean {
  const host = request.headers.host ?? ''
  if (!isLoopbackName(host.replace(/:\d+$/, ''))) return false
  if (origin === undefined) return true
  if (!URL.canParse(origin)) return false
  const { protocol, hostname } = new URL(origin)
  return protocol === 'http:' && isLoopbackName(hostname)
}

function isLoopbackName(name: string): boolean {
  return ['localhost', '127.0.0.1', '[::1]'].includes(name.toLowerCase())
}
