// A broker that runs already: only checked, never started or stopped.
import { connect } from 'node:net'
import { generate } from 'mqtt-packet'
import type { Broker } from './index.ts'

const CHECK_TIMEOUT_MS = 5_000

/** @throws Error when nothing there answers a CONNECT. Only `mqtt://` is checked; the connector tells the rest. */
export async function useExternalBroker(url: string): Promise<Broker> {
  if (url.startsWith('mqtt://')) {
    try {
      await answersConnect(url, CHECK_TIMEOUT_MS)
    } catch (error) {
      throw new Error(
        `No MQTT broker answers at ${url}: ${(error as Error).message}. Start it, or leave --broker out for the embedded one.`,
        { cause: error },
      )
    }
  }
  return { kind: 'external', url, close: () => Promise.resolve() }
}

/** Resolves when a CONNACK came, whatever it says: a broker is there. */
export function answersConnect(url: string, timeoutMs: number): Promise<void> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port || 1883), hostname.replace(/^\[(.*)\]$/, '$1'))
    const timer = setTimeout(() => end(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
    const end = (error?: Error): void => {
      clearTimeout(timer)
      socket.destroy()
      if (error === undefined) resolve()
      else reject(error)
    }
    socket.once('error', end)
    socket.once('close', () => end(new Error('the connection was closed')))
    socket.once('connect', () => {
      socket.write(
        generate({
          cmd: 'connect',
          clientId: '',
          clean: true,
          keepalive: 0,
          protocolVersion: 4,
          protocolId: 'MQTT',
        }),
      )
    })
    socket.once('data', (chunk: Buffer) => {
      end(chunk[0] === 0x20 ? undefined : new Error('what answers does not speak MQTT'))
    })
  })
}
