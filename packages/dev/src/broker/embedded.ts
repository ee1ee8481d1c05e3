// An MQTT broker in this process: aedes 2.0.0-beta.1, MQTT 3.1.1 and 5, TCP and WebSocket, loopback only.
//
// Everything is in memory. What breaks a process or loses a message is mended by packet-guard.ts and aedes-repairs.ts.
// Still missing or different, found by experiment, so that nobody relies on it here (--broker mosquitto has it):
// - Shared subscriptions: CONNACK says Shared Subscription Available 0, SUBACK 0x9E.
// - The client's Receive Maximum is ignored: everything queued is sent at once. CONNACK states none.
// - Session Present is 0 for a session without subscriptions.
// - Overlapping subscriptions get one copy, with one Subscription Identifier, at the QoS of whichever comes first.
// - A QoS 2 message reaches a QoS 1 subscription with a wildcard at QoS 2.
// - QoS 0 messages may overtake QoS 1 ones of the same sender; within one QoS the order holds.
// - User properties keep their order only within one name, and an empty value before others of its name is lost.
// - PUBACK leaves before the message is handed on. Topic Aliases and AUTH are not taken. Topics: at most 100 levels.
// - Message expiry counts down in the queue and for retained messages, but not while a message waits for a slow socket.
// Right, also by experiment: Session Expiry Interval, Retain Handling 0 to 2, Retain As Published, Will Delay, DISCONNECT
// 0x8E on takeover, Message Expiry in the queue; through the repairs: PUBACK 0x10, DUP, Maximum Packet Size.
import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { createServer, isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { Aedes, type Client } from 'aedes'
import { createWebSocketStream, WebSocketServer } from 'ws'
import {
  answerUnheard,
  connectedClients,
  discardOversized,
  isHeard,
  repairAedes,
  repairClient,
  type IncomingPublish,
} from './aedes-repairs.ts'
import type { BrokerUser } from './access.ts'
import type { Broker, BrokerOptions } from './broker.ts'
import { isLocal } from './local-page.ts'
import { guardPackets } from './packet-guard.ts'
import { listenOrExplain } from './port-taken.ts'

const PACKET_BYTES_MAX = 64 * 1024 * 1024
// What a client may send behind its CONNECT before CONNACK (MQTT 5 §3.1.4 allows it). It holds no more than one read
// from the socket, so this only has to be larger than that; aedes' own 42 would cut such clients off.
const EARLY_PACKETS_MAX = 100_000
// A client that reads nothing is cut off when this much waits for it and some time has passed, or twice as much waits.
const UNSENT_BYTES_MAX = 64 * 1024 * 1024
const DRAIN_TIMEOUT_MS = 5_000
// Of each of the three steps of close(), which is to take at most half a second.
const CLOSE_TIMEOUT_MS = 150
const SERVER_SHUTTING_DOWN = 0x8b
// Of CONNACK in MQTT 3.1.1; aedes makes 0x87 of it for MQTT 5.
const NOT_AUTHORIZED = 5

/**
 * Starts it. @throws PortTakenError, or an Error when the host is not this machine only.
 */
export async function startEmbeddedBroker(options: BrokerOptions): Promise<Broker> {
  const { host = '127.0.0.1', access, log } = options
  assertLoopback(host)
  const aedes = await createAedes(access, log)
  const sockets = new Set<Duplex>()
  const serve = (stream: Duplex, from: string, request?: IncomingMessage): void => {
    sockets.add(stream)
    stream.once('close', () => sockets.delete(stream))
    const guarded = guardPackets(stream, {
      packetBytesMax: PACKET_BYTES_MAX,
      unsentBytesMax: UNSENT_BYTES_MAX,
      onRefused: ({ message }) =>
        log?.(`MQTT: the connection of ${nameOf(client)} from ${from} was closed: ${message}`),
    })
    const client = aedes.handle(guarded, request)
    repairClient(client)
  }
  const tcp = createServer({ noDelay: true }, (socket: Socket) => serve(socket, addressOf(socket)))
  const http = createWebSocketServer(serve)
  const close = async (): Promise<void> => {
    const ends = [tcp, http]
      .filter((server) => server.listening)
      .map((server) => new Promise((done) => server.close(done)))
    await within(CLOSE_TIMEOUT_MS, Promise.all(connectedClients(aedes).map(sayGoodbye)))
    for (const socket of sockets) socket.destroy()
    http.closeAllConnections()
    await within(CLOSE_TIMEOUT_MS, new Promise<void>((done) => aedes.close(() => done())))
    await within(CLOSE_TIMEOUT_MS, Promise.all(ends))
  }
  try {
    const mqttPort = await listenOrExplain(tcp, options.mqttPort, host, '--mqtt-port')
    const wsPort = await listenOrExplain(http, options.wsPort, host, '--ws-port')
    const name = isIP(host) === 6 ? `[${host}]` : host
    return { kind: 'embedded', url: `mqtt://${name}:${mqttPort}`, wsUrl: `ws://${name}:${wsPort}`, close }
  } catch (error) {
    await close()
    throw error
  }
}

// Without a password file nobody is asked for a password, and with one it comes unencrypted: nobody else may reach it.
function assertLoopback(host: string): void {
  if (/^127\.\d+\.\d+\.\d+$/.test(host) || host === '::1' || host === 'localhost') return
  throw new Error(
    `The embedded broker is for development: it listens on loopback only, not on "${host}". Use 127.0.0.1, or run a broker of your own and give its URL with --broker.`,
  )
}

async function createAedes(access: BrokerOptions['access'], log: BrokerOptions['log']): Promise<Aedes> {
  const users = new WeakMap<Client, BrokerUser>()
  const may = (client: Client | null, kind: 'read' | 'write', topic: string): boolean =>
    access === undefined || (client !== null && users.get(client)?.may(kind, topic) === true)
  const aedes = await Aedes.createBroker({
    // 0 = no limit. With a limit, messages that wait for one slow subscriber stop those of all others.
    concurrency: 0,
    drainTimeout: DRAIN_TIMEOUT_MS,
    maximumPacketSize: PACKET_BYTES_MAX,
    queueLimit: EARLY_PACKETS_MAX,
    maxClientsIdLength: 128,
    authenticate: (client, username, password, done) => {
      if (access === undefined) return done(null, true)
      // oxlint-disable promise/no-callback-in-promise -- aedes wants a callback
      access.logIn(username, password).then(
        (user) => {
          if (user !== undefined) users.set(client, user)
          done(null, user !== undefined)
        },
        (error: Error) => done(Object.assign(error, { returnCode: NOT_AUTHORIZED }), false),
      )
      // oxlint-enable promise/no-callback-in-promise
    },
    authorizePublish: (client, packet, done) => {
      // aedes steers itself by $SYS topics: a client that publishes there ends the connections of others.
      if (packet.topic.startsWith('$')) return done(new Error('clients may not publish to $ topics'))
      const publish: IncomingPublish = packet
      // MQTT 5 [MQTT-3.3.1-3]: the DUP of a publisher is not passed on; aedes would.
      publish.dup = false
      const hasPuback = client?.version === 5 && publish.qos === 1 && publish.messageId !== undefined
      const denial = may(client, 'write', packet.topic) ? undefined : notAllowed(packet.topic)
      if (!hasPuback) return done(denial)
      // oxlint-disable promise/no-callback-in-promise -- aedes wants a callback
      isHeard(aedes, publish).then((heard) => {
        if (!heard && denial === undefined) answerUnheard(client, publish)
        done(denial)
      }, done)
      // oxlint-enable promise/no-callback-in-promise
    },
    authorizeForward: (client, packet) => {
      // aedes waits for a slow client, but goes on reading from those who publish to it.
      if (client.conn.writableLength > 2 * UNSENT_BYTES_MAX) {
        client.conn.destroy(new Error(`it reads too slowly, ${client.conn.writableLength} bytes wait for it`))
        return packet
      }
      // As in Mosquitto, every subscription is granted, and what may not be read is left out.
      return may(client, 'read', packet.topic) ? discardOversized(client, packet) : null
    },
    // To MQTT 5 aedes says 0x9E by itself; to 3.1.1 it would grant a subscription that never gets anything.
    authorizeSubscribe: (_client, subscription, done) => {
      done(null, subscription.topic.startsWith('$share/') ? null : subscription)
    },
  })
  // An error of one client ends its connection; without a listener it would end the process.
  const lastErrors = new WeakMap<Client, string>()
  const tell = (client: Client, error: Error): void => {
    // One broken connection fails every message that was on its way to it.
    if (lastErrors.get(client) === error.message) return
    lastErrors.set(client, error.message)
    log?.(`MQTT: ${nameOf(client)}: ${error.message}`)
  }
  aedes.on('clientError', tell)
  aedes.on('connectionError', tell)
  // The types know no `error`, but aedes emits it when its memory store refuses something.
  ;(aedes as NodeJS.EventEmitter).on('error', (error: Error) => log?.(`MQTT: ${error.message}`))
  repairAedes(aedes, log)
  return aedes
}

function notAllowed(topic: string): Error {
  return new Error(`its user may not publish to ${JSON.stringify(topic.slice(0, 200))}`)
}

// The types do not know disconnect(), which sends DISCONNECT to MQTT 5 clients and closes.
function sayGoodbye(client: Client): Promise<void> {
  const { disconnect } = client as unknown as { disconnect: (options: object, done: () => void) => void }
  return new Promise((done) => disconnect.call(client, { reasonCode: SERVER_SHUTTING_DOWN }, done))
}

function createWebSocketServer(
  serve: (stream: Duplex, from: string, request: IncomingMessage) => void,
): ReturnType<typeof createHttpServer> {
  const http = createHttpServer((_request, response) => {
    response.writeHead(426, { 'content-type': 'text/plain', upgrade: 'websocket' })
    response.end('This is MQTT over WebSocket.\n')
  })
  http.on('connection', (socket: Socket) => socket.setNoDelay(true))
  const webSockets = new WebSocketServer({
    server: http,
    maxPayload: PACKET_BYTES_MAX,
    verifyClient: (info: { origin: string | undefined; req: IncomingMessage }, decide) => {
      // RFC 9112 §3.2. Node.js keeps the first one.
      const hosts = info.req.headersDistinct['host']?.length ?? 0
      if (hosts > 1) return decide(false, 400, 'More than one Host')
      if (!isLocal(info.origin, info.req)) return decide(false, 403, 'Only pages of this machine may connect')
      decide(offersMqtt(info.req), 400, 'The sub-protocol must be mqtt')
    },
    handleProtocols: () => 'mqtt',
  })
  webSockets.on('connection', (socket, request) => {
    socket.on('error', () => {})
    // MQTT 5 [MQTT-6.0.0-1]: binary frames only.
    socket.on('message', (_data, isBinary) => {
      if (!isBinary) socket.terminate()
    })
    serve(createWebSocketStream(socket), addressOf(request.socket), request)
  })
  // A taken port is told by listen's own promise.
  webSockets.on('error', () => {})
  return http
}

// MQTT 5 [MQTT-6.0.0-3].
function offersMqtt(request: IncomingMessage): boolean {
  const offered = request.headers['sec-websocket-protocol'] ?? ''
  return offered.split(',').some((name) => name.trim() === 'mqtt')
}

function addressOf(socket: Socket): string {
  return `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? '?'}`
}

function nameOf(client: Client): string {
  return client.id ? `client ${JSON.stringify(client.id)}` : 'a client without CONNECT'
}

function within(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, timeoutMs)
    void work.finally(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
