// An MQTT broker in this process: aedes 2.0.0-beta.1, MQTT 3.1.1 and 5, TCP and WebSocket, loopback only.
//
// What it does not do, and what the connector does without: shared subscriptions (CONNACK says so), PUBACK 0x10 for
// a publish that nobody receives, and Receive Maximum, Maximum Packet Size as limits of its own. It keeps everything
// in memory. For more than trying things out there is `--broker mosquitto`.
import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { Aedes } from 'aedes'
import { createWebSocketStream, WebSocketServer } from 'ws'
import type { Broker, BrokerOptions } from './index.ts'
import { guardPackets } from './packet-guard.ts'
import { explainPort } from './port-taken.ts'

// A queue for offline sessions; aedes' own default of 42 would drop a burst.
const QUEUE_LIMIT = 100_000

/** See the file's first line. */
export async function startEmbeddedBroker(options: BrokerOptions): Promise<Broker> {
  const aedes = await Aedes.createBroker({
    queueLimit: QUEUE_LIMIT,
    maxClientsIdLength: 128,
    authorizePublish: (_client, packet, done) => {
      done(packet.topic.startsWith('$') ? new Error('Clients may not publish to $ topics') : null)
    },
  })
  // Errors of single clients end their connection; without a listener they would end the process.
  aedes.on('clientError', () => {})
  aedes.on('connectionError', () => {})
  const sockets = new Set<Duplex>()
  const serve = (stream: Duplex, request?: IncomingMessage): void => {
    sockets.add(stream)
    stream.once('close', () => sockets.delete(stream))
    aedes.handle(guardPackets(stream), request)
  }
  const tcp = createServer({ noDelay: true }, (socket: Socket) => serve(socket))
  const http = createHttpServer((_request, response) => {
    response.writeHead(426, { 'content-type': 'text/plain' }).end('This is MQTT over WebSocket.\n')
  })
  const webSockets = new WebSocketServer({
    server: http,
    maxPayload: 64 * 1024 * 1024,
    verifyClient: ({ origin, req }: { origin: string | undefined; req: IncomingMessage }) =>
      isLocal(origin, req),
    handleProtocols: (protocols) => (protocols.has('mqtt') ? 'mqtt' : false),
  })
  webSockets.on('connection', (socket, request) => {
    socket.on('error', () => {})
    serve(createWebSocketStream(socket), request)
  })
  // A taken port is told by listen's own promise.
  webSockets.on('error', () => {})

  const close = async (): Promise<void> => {
    const ends = [tcp, http]
      .filter((server) => server.listening)
      .map((server) => new Promise((done) => server.close(done)))
    for (const socket of sockets) socket.destroy()
    http.closeAllConnections()
    await new Promise<void>((done) => aedes.close(() => done()))
    await Promise.all(ends)
  }
  try {
    const mqttPort = await explainPort(options.mqttPort, '--mqtt-port', () =>
      listen(tcp, options.mqttPort, options.host),
    )
    const wsPort = await explainPort(options.wsPort, '--ws-port', () =>
      listen(http, options.wsPort, options.host),
    )
    return {
      kind: 'embedded',
      url: `mqtt://${options.host}:${mqttPort}`,
      wsUrl: `ws://${options.host}:${wsPort}`,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve((server.address() as AddressInfo).port)
    })
  })
}

/**
 * Any web page may open a WebSocket to this machine, and rebind a name of its own to it: only pages of this machine
 * are let in. Programs send no Origin.
 */
export function isLocal(origin: string | undefined, request: Pick<IncomingMessage, 'headers'>): boolean {
  const host = request.headers.host ?? ''
  if (!isLoopbackName(host.replace(/:\d+$/, ''))) return false
  if (origin === undefined) return true
  return URL.canParse(origin) && isLoopbackName(new URL(origin).hostname)
}

function isLoopbackName(name: string): boolean {
  return ['localhost', '127.0.0.1', '[::1]'].includes(name.toLowerCase())
}
