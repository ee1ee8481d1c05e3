// A test client that can send any bytes, and collects the packets that it receives.
import { connect, type Socket } from 'node:net'
import { generate, parser, type IConnectPacket, type Packet } from 'mqtt-packet'

const WAIT_MS = 10_000

/** A test client. Created by `RawClient.open` or `RawClient.connect`. */
export class RawClient {
  readonly #socket: Socket
  readonly #version: 4 | 5
  readonly #packets: Packet[] = []
  readonly #closed: Promise<void>
  #arrived: () => void = () => {}

  constructor(socket: Socket, version: 4 | 5) {
    this.#socket = socket
    this.#version = version
    const packets = parser({ protocolVersion: version })
    packets.on('packet', (packet) => {
      this.#packets.push(packet)
      this.#arrived()
    })
    packets.on('error', () => socket.destroy())
    socket.on('data', (chunk) => packets.parse(chunk))
    socket.on('error', () => {})
    this.#closed = new Promise((resolve) =>
      socket.once('close', () => {
        resolve()
        this.#arrived()
      }),
    )
  }

  /** Opens a TCP connection without sending CONNECT. */
  static async open(url: string, version: 4 | 5 = 5): Promise<RawClient> {
    const socket = connect(Number(new URL(url).port), new URL(url).hostname)
    const client = new RawClient(socket, version)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', () => resolve())
      socket.once('error', reject)
    })
    return client
  }

  /** Opens a connection, sends CONNECT and reads CONNACK. */
  static async connect(url: string, options: Partial<IConnectPacket> = {}): Promise<RawClient> {
    const version = options.protocolVersion === 4 ? 4 : 5
    const client = await RawClient.open(url, version)
    client.send(connectPacket({ protocolVersion: version, ...options }))
    const { reasonCode, returnCode } = await client.next('connack')
    if ((reasonCode ?? returnCode) !== 0) throw new Error(`CONNACK ${reasonCode ?? returnCode}`)
    return client
  }

  /** Sends packets or raw bytes; a string is read as hexadecimal digits. */
  send(...items: (Packet | Buffer | string)[]): void {
    const bytes = items.map((item) => {
      if (typeof item === 'string') return Buffer.from(item.replaceAll(' ', ''), 'hex')
      return Buffer.isBuffer(item) ? item : generate(item, { protocolVersion: this.#version })
    })
    if (!this.#socket.destroyed) this.#socket.write(Buffer.concat(bytes))
  }

  async subscribe(topic: string, options: { qos?: 0 | 1 | 2; rh?: number; rap?: boolean } = {}) {
    const subscription = { topic, qos: 1 as const, nl: false, rap: false, rh: 0, ...options }
    this.send({ cmd: 'subscribe', messageId: 1, subscriptions: [subscription] })
    return (await this.next('suback')).granted[0]
  }

  /** Removes and returns the next packet of this type. */
  async next<Command extends Packet['cmd']>(cmd: Command): Promise<Extract<Packet, { cmd: Command }>> {
    const until = performance.now() + WAIT_MS
    for (;;) {
      const index = this.#packets.findIndex((packet) => packet.cmd === cmd)
      if (index >= 0) return this.#packets.splice(index, 1)[0] as Extract<Packet, { cmd: Command }>
      if (this.#socket.destroyed || performance.now() >= until) throw new Error(`No ${cmd} arrived`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, until - performance.now())
        this.#arrived = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  /**
   * Returns the payloads of all received messages. Waits for a few PINGRESPs first, so that all messages in flight
   * have arrived.
   */
  async payloads(): Promise<string[]> {
    for (let round = 0; round < 5; round++) {
      this.send({ cmd: 'pingreq' })
      await this.next('pingresp')
    }
    return this.take().map(({ payload }) => payload.toString())
  }

  /** Returns the received PUBLISH packets, and discards all others. */
  take(): Extract<Packet, { cmd: 'publish' }>[] {
    return this.#packets.splice(0).filter((packet) => packet.cmd === 'publish')
  }

  /** Resolves when the connection is closed. */
  closed(): Promise<void> {
    return this.#closed
  }

  get isClosed(): boolean {
    return this.#socket.destroyed
  }

  /** Stops reading. */
  pause(): void {
    this.#socket.pause()
  }

  /** From now on, the client reads at most `bytesPerSecond`. */
  readSlowly(bytesPerSecond: number): void {
    this.#socket.on('data', ({ length }) => {
      this.#socket.pause()
      setTimeout(() => this.#socket.resume(), (length / bytesPerSecond) * 1_000)
    })
  }

  /** Closes the connection without DISCONNECT. */
  destroy(): Promise<void> {
    this.#socket.destroy()
    return this.#closed
  }
}

/** Creates a CONNECT, by default with Clean Start and an empty client identifier. */
export function connectPacket(options: Partial<IConnectPacket> = {}): IConnectPacket {
  return {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 5,
    clean: true,
    clientId: '',
    keepalive: 0,
    ...options,
  }
}
