// A TCP proxy that injects network faults: latency, low bandwidth, small slices, freezes, half-open and reset
// connections.
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net'
import { Pipe, type Toxics } from './pipe.ts'

/** Observes the client's bytes when they arrive, and the server's bytes when they are forwarded. */
export interface Witness {
  readonly fromClient: (chunk: Buffer) => void
  readonly fromServer: (chunk: Buffer) => void
}

/** Options of a proxy. */
export interface ProxyOptions {
  /** Called for each connection; returns its observer. */
  readonly witness?: () => Witness
}

interface Link {
  readonly client: Socket
  readonly server: Socket
  readonly up: Pipe
  readonly down: Pipe
}

/** A listening port that forwards to one server. Toxics apply to existing and new connections. */
export class Proxy {
  /** Toxics from client to server. */
  readonly up: Toxics = {}
  /** Toxics from server to client. */
  readonly down: Toxics = {}
  readonly #targetPort: number
  readonly #options: ProxyOptions
  readonly #server: Server
  readonly #links = new Set<Link>()
  #port = 0

  private constructor(targetPort: number, options: ProxyOptions) {
    this.#targetPort = targetPort
    this.#options = options
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => this.#join(client))
  }

  /** Starts a proxy on a free loopback port. */
  static async start(targetPort: number, options: ProxyOptions = {}): Promise<Proxy> {
    const proxy = new Proxy(targetPort, options)
    await proxy.accept()
    return proxy
  }

  get port(): number {
    return this.#port
  }

  get connections(): number {
    return this.#links.size
  }

  /** Sets toxics, which take effect at once, even on bytes that the proxy holds. */
  set(direction: 'up' | 'down' | 'both', toxics: Toxics): void {
    if (direction !== 'down') Object.assign(this.up, toxics)
    if (direction !== 'up') Object.assign(this.down, toxics)
    this.#wake()
  }

  /** Removes all toxics and forwards the held bytes. */
  calm(): void {
    for (const toxics of [this.up, this.down])
      for (const name of Object.keys(toxics)) delete toxics[name as keyof Toxics]
    this.#wake()
  }

  /** Sends RST to both sides of every connection. */
  reset(): void {
    for (const link of this.#links) destroyBoth(link)
  }

  /** Resets each connection after this many further bytes in the given direction, usually inside a packet. */
  resetAfter(direction: 'up' | 'down', bytes: number): void {
    for (const link of this.#links) link[direction].cutAfter(bytes, () => destroyBoth(link))
  }

  /** Stops listening and resets every connection. */
  async refuse(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.reset()
    await closed
  }

  /** Listens again on the same port. */
  async accept(): Promise<void> {
    if (this.#server.listening) return
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#port, '127.0.0.1', () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
    this.#port = (this.#server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    if (this.#server.listening) await this.refuse()
  }

  #join(client: Socket): void {
    const server = connect({ port: this.#targetPort, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    const witness = this.#options.witness?.()
    const up = new Pipe(client, server, this.up, { arrived: witness?.fromClient })
    const down = new Pipe(server, client, this.down, { passed: witness?.fromServer })
    const link = { client, server, up, down }
    this.#links.add(link)
    const left = (): void => {
      if (!client.destroyed || !server.destroyed) return
      up.stop()
      down.stop()
      this.#links.delete(link)
    }
    client.on('close', left)
    server.on('close', left)
  }

  #wake(): void {
    for (const { up, down } of this.#links) {
      up.wake()
      down.wake()
    }
  }
}

function destroyBoth({ client, server, up, down }: Link): void {
  up.stop()
  down.stop()
  client.resetAndDestroy()
  // A socket that is still connecting cannot be reset.
  if (server.connecting) server.destroy()
  else server.resetAndDestroy()
}
