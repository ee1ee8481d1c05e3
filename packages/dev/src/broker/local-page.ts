// Decides whether a WebSocket upgrade request comes from this machine.
import type { IncomingMessage } from 'node:http'

/**
 * Returns whether the request comes from a program, which sends no Origin, or from a page that this machine serves
 * over http. Without this check, any web page in the user's browser could connect to the broker, directly or by
 * DNS rebinding.
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
