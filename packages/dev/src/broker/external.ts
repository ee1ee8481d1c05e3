// Checks a broker that is already running. This process neither starts nor stops it.
import { connect } from 'node:net'
import type { Broker } from './broker.ts'

const CHECK_TIMEOUT_MS = 5_000
const DEFAULT_PORT = 1883
const CONNACK = 0x20
// MQTT 3.1.1, Clean Session, no client identifier: every broker supports this, and no session is left behind.
const CONNECT = Buffer.from([0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 0, 0, 0])

/**
 * Checks that the broker of an `mqtt://` URL answers CONNECT. A URL with another scheme is not checked here,
 * because the connector reports any error. @throws Error
 */
export async function useExternalBroker(url: string, timeoutMs: number = CHECK_TIMEOUT_MS): Promise<Broker> {
  if (!URL.canParse(url) || new URL(url).hostname === '') {
    throw new Error(`The broker URL is not valid. Expected a URL such as mqtt://127.0.0.1:1883.`)
  }
  if (url.startsWith('mqtt://')) {
    try {
      await answersConnect(url, timeoutMs)
    } catch (error) {
      throw new Error(
        `No MQTT broker answers at mqtt://${new URL(url).host}: ${(error as Error).message}. Start the broker, or omit --broker to use the embedded one.`,
        { cause: error },
      )
    }
  }
  return { kind: 'external', url, close: () => Promise.resolve() }
}

/** Resolves when a CONNACK arrives, even if it refuses the client. @throws Error if no CONNACK arrives */
export function answersConnect(url: string, timeoutMs: number): Promise<void> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port || DEFAULT_PORT), hostname.replace(/^\[(.*)\]$/, '$1'))
    const end = (error?: Error): void => {
      clearTimeout(timer)
      socket.destroy()
      if (error === undefined) resolve()
      else reject(error)
    }
    const timer = setTimeout(() => end(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
    socket.once('error', end)
    socket.once('close', () => end(new Error('the connection was closed without an answer')))
    socket.once('connect', () => socket.write(CONNECT))
    socket.once('data', (chunk: Buffer) => {
      end(chunk[0] === CONNACK ? undefined : new Error('the server does not use MQTT'))
    })
  })
}
