// Stand-ins for network parts that cannot run here. Each does only what its fault needs.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/** A listening port. */
export interface StandIn {
  readonly port: number
  readonly stop: () => void
}

const CONNECT = 0x10
// CONNACK of MQTT 3.1.1: session present 0, return code 1 (unacceptable protocol level).
const REFUSED_VERSION = Buffer.from([0x20, 2, 0, 1])
const VERSION_LEVEL_AT = 8

/**
 * Stands in for a broker that supports only MQTT 3.1.1: answers CONNECT with another protocol level as MQTT 3.1.1
 * §3.1.2.2 requires, and forwards everything else. It expects the CONNECT in one piece with a length below 128.
 */
export function onlyMqtt311(brokerPort: number): Promise<StandIn> {
  return listen((client) => {
    client.once('data', (first: Buffer) => {
      if (first[0] === CONNECT && first[VERSION_LEVEL_AT] !== 4) return client.end(REFUSED_VERSION)
      const broker = connect(brokerPort, '127.0.0.1')
      broker.write(first)
      join(client, broker)
      return undefined
    })
  })
}

// Signature of version 2 of the PROXY protocol, and the length of a header without addresses.
const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const PROXY_HEADER_BYTES = 16

/**
 * Stands in for a listener of Mosquitto 2.1 with `enable_proxy_protocol 2`: closes a connection that does not begin with
 * a header of the PROXY protocol, and removes the header otherwise. It accepts only headers without addresses.
 */
export function withProxyProtocol(brokerPort: number): Promise<StandIn> {
  return listen((client) => {
    client.once('data', (first: Buffer) => {
      if (!first.subarray(0, SIGNATURE.length).equals(SIGNATURE)) return client.destroy()
      const broker = connect(brokerPort, '127.0.0.1')
      broker.write(first.subarray(PROXY_HEADER_BYTES))
      join(client, broker)
      return undefined
    })
  })
}

/** Stands in for a load balancer that closes connections without traffic after `idleMs`. */
export function withIdleLimit(brokerPort: number, idleMs: number): Promise<StandIn> {
  return listen((client) => {
    const broker = connect(brokerPort, '127.0.0.1')
    join(client, broker)
    client.setTimeout(idleMs, () => client.destroy())
  })
}

// PUBLISH with RETAIN and QoS 1 (MQTT 5 §3.3.1), without its DUP flag; and PUBACK.
const RETAINED_QOS_1 = 0x33
const PUBACK = 0x40

/**
 * Stands in for a network that breaks while a retained message with `text` is published: the broker has accepted the
 * message, but the connection is lost before the PUBACK arrives. Expects each of both packets at the beginning of a piece.
 */
export function losesPubackOf(
  text: string,
  brokerPort: number,
): Promise<StandIn & { readonly lost: () => number }> {
  let lost = 0
  const standIn = listen((client) => {
    const broker = connect(brokerPort, '127.0.0.1')
    let isBreaking = false
    broker.on('data', (data: Buffer) => {
      if (isBreaking && data[0] === PUBACK) {
        lost += 1
        client.destroy()
      } else client.write(data)
    })
    client.on('data', (data: Buffer) => {
      isBreaking ||= (data[0]! & 0xf7) === RETAINED_QOS_1 && data.includes(text)
      broker.write(data)
    })
    link(client, broker)
  })
  return standIn.then((started) => ({ ...started, lost: () => lost }))
}

function join(client: Socket, broker: Socket): void {
  client.pipe(broker).pipe(client)
  link(client, broker)
}

// Each of the two connections ends when the other one ends.
function link(client: Socket, broker: Socket): void {
  for (const [one, other] of [
    [client, broker],
    [broker, client],
  ] as const) {
    one.on('error', () => other.destroy())
    one.on('close', () => other.destroy())
  }
}

async function listen(accept: (client: Socket) => void): Promise<StandIn> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    accept(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
