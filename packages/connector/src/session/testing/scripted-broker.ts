// A broker that sends exactly the scripted bytes on a real socket, and a session that connects to it.
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { parser, type Packet } from 'mqtt-packet'
import type { ReceivedDelivery } from '../delivery.ts'
import { MqttSession } from '../session.ts'
import type { SessionOptions, SessionWarning } from '../session-options.ts'

/**
 * The options that all test sessions share; each test adds a URL and filters, and overrides the options that it tests.
 */
export const BASE_OPTIONS: Omit<SessionOptions, 'url' | 'filters'> = {
  tls: { insecureSkipVerify: false },
  protocolVersion: 5,
  clientId: 'c',
  password: () => undefined,
  keepAliveSeconds: 30,
  connectTimeoutMs: 5_000,
  sessionExpirySeconds: 300,
  receiveMaximum: 100,
  reconnect: { minMs: 1, maxMs: 1 },
  ackOrder: 'bounded',
  ackHoldMaxMs: 2_000,
  frameBytesMax: () => 1_000,
}

/**
 * Returns the bytes with which the broker answers `packet`, or undefined if it does not answer. `connection`
 * counts from 1.
 */
export type Script = (packet: Packet, connection: number) => Buffer | undefined

/** Answers packets with the bytes of a script. */
export class ScriptedBroker {
  /** The received packets, each with the number of its connection. */
  readonly received: { readonly connection: number; readonly packet: Packet }[] = []
  connections = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  constructor(protocolVersion: 4 | 5, script: Script) {
    this.#server = createServer((socket) => {
      const connection = ++this.connections
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => this.#sockets.delete(socket))
      const reader = parser({ protocolVersion })
      reader.on('packet', (packet: Packet) => {
        this.received.push({ connection, packet })
        const answer = script(packet, connection)
        if (answer !== undefined) socket.write(answer)
      })
      socket.on('data', (chunk) => reader.parse(chunk))
    })
  }

  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return `mqtt://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Closes all connections without a DISCONNECT. */
  cut(): void {
    for (const socket of this.#sockets) socket.end()
  }

  stop(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** A session and everything that it reported. */
export interface TestSession {
  readonly session: MqttSession
  readonly errors: Error[]
  /** For each error, the milliseconds until the next attempt. */
  readonly pauses: number[]
  readonly warnings: SessionWarning[]
  readonly deliveries: ReceivedDelivery[]
  timesReady: number
  /** Resolves when the condition is true; it is checked after every event of the session. */
  readonly until: (condition: () => boolean) => Promise<void>
}

/** Starts a session; the test must close it. */
export function startSession(url: string, options: Partial<SessionOptions> = {}): TestSession {
  const waiters = new Set<() => void>()
  const check = (): void => {
    for (const waiter of waiters) waiter()
  }
  const session = new MqttSession(
    {
      ...BASE_OPTIONS,
      url,
      filters: ['a'],
      ...options,
    },
    {
      delivered: (delivery) => {
        testSession.deliveries.push(delivery)
        check()
      },
      ready: () => {
        testSession.timesReady += 1
        check()
      },
      unavailable: ({ error, retryInMs }) => {
        testSession.errors.push(error)
        testSession.pauses.push(retryInMs)
        check()
      },
      warned: (warning) => {
        testSession.warnings.push(warning)
        check()
      },
    },
  )
  const testSession: TestSession = {
    session,
    errors: [],
    pauses: [],
    warnings: [],
    deliveries: [],
    timesReady: 0,
    until: async (condition) => {
      await new Promise<void>((resolve) => {
        const waiter = (): void => {
          if (!condition()) return
          waiters.delete(waiter)
          resolve()
        }
        waiters.add(waiter)
        waiter()
      })
    },
  }
  session.start()
  return testSession
}

/** Parses hexadecimal bytes such as `20 03 00`. */
export function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex')
}
