// A broker that says exactly the bytes it is told, on a real socket, and a session that meets it.
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { parser, type Packet } from 'mqtt-packet'
import type { ReceivedDelivery } from '../delivery.ts'
import { MqttSession } from '../session.ts'
import type { SessionOptions, SessionWarning } from '../session-options.ts'

/** What the sessions of tests have in common; each test adds URL and filters, and replaces what it is about. */
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

/** What it answers: bytes, or undefined for nothing. `connection` counts from 1. */
export type Script = (packet: Packet, connection: number) => Buffer | undefined

/** See the file's first line. */
export class ScriptedBroker {
  /** What it received, each with the number of its connection. */
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

  /** Ends all connections without a word. */
  cut(): void {
    for (const socket of this.#sockets) socket.end()
  }

  stop(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** A session and what it told. */
export interface Meeting {
  readonly session: MqttSession
  readonly errors: Error[]
  /** Milliseconds until the next attempt, for each error. */
  readonly pauses: number[]
  readonly warnings: SessionWarning[]
  readonly deliveries: ReceivedDelivery[]
  timesReady: number
  /** Resolves when that is so; it is looked at after everything that the session tells. */
  readonly until: (condition: () => boolean) => Promise<void>
}

/** Starts a session; close it. */
export function meet(url: string, options: Partial<SessionOptions> = {}): Meeting {
  const lookers = new Set<() => void>()
  const look = (): void => {
    for (const looker of lookers) looker()
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
        meeting.deliveries.push(delivery)
        look()
      },
      ready: () => {
        meeting.timesReady += 1
        look()
      },
      unavailable: ({ error, retryInMs }) => {
        meeting.errors.push(error)
        meeting.pauses.push(retryInMs)
        look()
      },
      warned: (warning) => {
        meeting.warnings.push(warning)
        look()
      },
    },
  )
  const meeting: Meeting = {
    session,
    errors: [],
    pauses: [],
    warnings: [],
    deliveries: [],
    timesReady: 0,
    until: async (condition) => {
      await new Promise<void>((resolve) => {
        const looker = (): void => {
          if (!condition()) return
          lookers.delete(looker)
          resolve()
        }
        lookers.add(looker)
        looker()
      })
    },
  }
  session.start()
  return meeting
}

/** `20 03 00` */
export function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex')
}
