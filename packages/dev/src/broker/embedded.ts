// The embedded MQTT broker: MQTT 3.1, 3.1.1 and 5, over TCP and WebSocket, on loopback only, with all state in
// memory.
//
// It does not support these optional features: $SYS topics, Topic Aliases, AUTH, Server Keep Alive, queues for QoS
// 0. Among the user properties of a Will, only those with the same name keep their order.
// See conformance/paho/README.md for the results of Paho's test suite. With --broker mosquitto, Mosquitto is used
// instead.
import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { createServer, isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createWebSocketStream, WebSocketServer } from 'ws'
import type { Broker, BrokerOptions } from './broker.ts'
import { isLocal } from './local-page.ts'
import { MqttBroker, nameOf } from './mqtt-broker.ts'
import { guardPackets } from './packet-guard.ts'
import { listenOrExplain } from './port-taken.ts'

const PACKET_BYTES_MAX = 64 * 1024 * 1024
// Room for two packets of the largest size. A client that stops reading is usually disconnected before this buffer is
// full, because DRAIN_TIMEOUT_MS passes first.
const UNSENT_BYTES_MAX = 128 * 1024 * 1024
const UNSENT_PACKETS_MAX = 1_000_000
// Long enough for a slow client: its socket accepts more data only when a third of the socket buffer, roughly 1
// MB, is free.
const DRAIN_TIMEOUT_MS = 30_000
const SESSIONS_MAX = 10_000
const CONNECT_TIMEOUT_MS = 30_000
// Time limit for each of the two steps of close(), which together must take at most half a second.
const CLOSE_TIMEOUT_MS = 200

/** Starts the embedded broker. @throws PortTakenError, or an Error if the host is not a loopback address */
export async function startEmbeddedBroker(options: BrokerOptions): Promise<Broker> {
  const { host = '127.0.0.1', access, log = () => {} } = options
  assertLoopback(host)
  const mqtt = new MqttBroker({
    packetBytesMax: PACKET_BYTES_MAX,
    sessionsMax: SESSIONS_MAX,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    unsentBytesMax: UNSENT_BYTES_MAX,
    unsentPacketsMax: UNSENT_PACKETS_MAX,
    drainTimeoutMs: DRAIN_TIMEOUT_MS,
    access,
    log,
  })
  const sockets = new Set<Duplex>()
  const serve = (stream: Duplex, from: string): void => {
    sockets.add(stream)
    stream.once('close', () => sockets.delete(stream))
    const guarded = guardPackets(stream, {
      packetBytesMax: PACKET_BYTES_MAX,
      onRefused: ({ message }) =>
        log(`MQTT: the connection of ${nameOf(connection.clientId)} from ${from} was closed: ${message}`),
    })
    const connection = mqtt.serve(guarded)
  }
  const tcp = createServer({ noDelay: true }, (socket: Socket) => serve(socket, addressOf(socket)))
  const http = createWebSocketServer(serve)
  const close = async (): Promise<void> => {
    const ends = [tcp, http]
      .filter((server) => server.listening)
      .map((server) => new Promise((done) => server.close(done)))
    mqtt.close()
    const closed = [...sockets].map((socket) => new Promise((done) => socket.once('close', done)))
    await within(CLOSE_TIMEOUT_MS, Promise.all(closed))
    for (const socket of sockets) socket.destroy()
    http.closeAllConnections()
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

// Without a password file, every client is accepted; with a password file, passwords are sent
// unencrypted.
function assertLoopback(host: string): void {
  if (/^127\.\d+\.\d+\.\d+$/.test(host) || host === '::1' || host === 'localhost') return
  throw new Error(
    `The embedded broker is for development: it listens on loopback only, not on "${host}". Use 127.0.0.1, or run your own broker and set its URL with --broker.`,
  )
}

function createWebSocketServer(
  serve: (stream: Duplex, from: string) => void,
): ReturnType<typeof createHttpServer> {
  const http = createHttpServer((_request, response) => {
    response.writeHead(426, { 'content-type': 'text/plain', upgrade: 'websocket' })
    response.end('This port is for MQTT over WebSocket. Connect with an MQTT client, not with a browser.\n')
  })
  http.on('connection', (socket: Socket) => socket.setNoDelay(true))
  const webSockets = new WebSocketServer({
    server: http,
    maxPayload: PACKET_BYTES_MAX,
    verifyClient: (info: { origin: string | undefined; req: IncomingMessage }, decide) => {
      // RFC 9112 §3.2 allows only one Host field; Node.js would use the first.
      const hosts = info.req.headersDistinct['host']?.length ?? 0
      if (hosts > 1) return decide(false, 400, 'More than one Host header field')
      if (!isLocal(info.origin, info.req))
        return decide(false, 403, 'Only pages served by this machine may connect')
      decide(offersMqtt(info.req), 400, 'The sub-protocol must be mqtt')
    },
    handleProtocols: () => 'mqtt',
  })
  webSockets.on('connection', (socket, request) => {
    socket.on('error', () => {})
    const stream = createWebSocketStream(socket)
    // MQTT 5 [MQTT-6.0.0-1]: only binary frames are allowed. This listener runs before the stream's own listener.
    // It destroys the stream, and a destroyed stream ignores the frame.
    socket.prependListener('message', (_data: unknown, isBinary: boolean) => {
      if (!isBinary) stream.destroy()
    })
    serve(stream, addressOf(request.socket))
  })
  // This error is ignored, because listenOrExplain reports it too.
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

function within(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, timeoutMs)
    void work.finally(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
