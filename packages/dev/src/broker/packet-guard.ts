// Stands between a socket and the embedded broker, and lets only well-formed packets of a client through.
//
// mqtt-packet 9 hands a property that runs past its packet over as `null`. So a stream is cut into packets here, and
// each is checked first.
import { Duplex } from 'node:stream'
import { checkClientPacket, checkFirstByte, isDisconnect, type ClientVersion } from './check-packet.ts'
import { REASON, RefusedPacketError } from './refused-packet.ts'

/** Limits of one connection, in bytes, and who is told when it is cut off. */
export interface GuardOptions {
  /** Whole packet. @default 64 MiB */
  readonly packetBytesMax?: number
  /** What a client gets that has not said who it is: a CONNECT needs little. @default 64 KiB */
  readonly connectBytesMax?: number
  /** What may wait for a client that does not read; above it the broker waits, then cuts it off. @default 64 MiB */
  readonly unsentBytesMax?: number
  /** Gets why the connection ends. Called at most once. */
  readonly onRefused?: (reason: RefusedPacketError) => void
}

/**
 * The stream to give to the broker in place of `socket`. Each `data` event has one whole packet. A packet that is not
 * well-formed ends the connection.
 */
export function guardPackets(socket: Duplex, options: GuardOptions = {}): Duplex {
  return new GuardedStream(socket, options)
}

// How long a refused client may take to read why.
const LINGER_MS = 250
// Below it, a copy is cheaper than another system call (or another WebSocket frame).
const JOINED_BYTES_MAX = 64 * 1024

class GuardedStream extends Duplex {
  readonly #socket: Duplex
  readonly #options: GuardOptions
  readonly #packetBytesMax: number
  readonly #connectBytesMax: number
  #buffered: Buffer[] = []
  #bufferedBytes = 0
  // Bytes that the packet at the front needs before it can be looked at.
  #neededBytes = 2
  #version: ClientVersion | undefined
  #isConnackSent = false
  // After DISCONNECT or a refusal nothing counts any more.
  #isOver = false
  #isRefused = false

  constructor(socket: Duplex, options: GuardOptions) {
    super({ readableObjectMode: true, writableHighWaterMark: options.unsentBytesMax ?? 64 * 1024 * 1024 })
    this.#socket = socket
    this.#options = options
    this.#packetBytesMax = options.packetBytesMax ?? 64 * 1024 * 1024
    this.#connectBytesMax = options.connectBytesMax ?? 64 * 1024
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('end', () => this.push(null))
    socket.on('error', () => this.destroy())
    socket.on('close', () => this.destroy())
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#send([chunk], chunk.length, done)
  }

  // The broker writes a packet field by field; what came together goes out together.
  override _writev(items: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    const chunks = items.map(({ chunk }) => chunk)
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    this.#send(bytes <= JOINED_BYTES_MAX ? [Buffer.concat(chunks, bytes)] : chunks, bytes, done)
  }

  override _final(done: () => void): void {
    this.#socket.end(done)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#buffered = []
    if (!this.#isRefused) this.#socket.destroy()
    done(error)
  }

  #send(chunks: Buffer[], bytes: number, done: (error?: Error | null) => void): void {
    if (bytes === 0 || this.#isRefused || !this.#socket.writable) return done()
    this.#isConnackSent = true
    this.#socket.cork()
    chunks.forEach((chunk, index) =>
      this.#socket.write(chunk, index === chunks.length - 1 ? done : undefined),
    )
    this.#socket.uncork()
  }

  #take(chunk: Buffer): void {
    if (this.destroyed || this.#isOver) return
    this.#buffered.push(chunk)
    this.#bufferedBytes += chunk.length
    if (this.#bufferedBytes < this.#neededBytes) return
    let bytes = this.#buffered.length === 1 ? chunk : Buffer.concat(this.#buffered, this.#bufferedBytes)
    try {
      for (let size = this.#packetSize(bytes); size !== undefined; size = this.#packetSize(bytes)) {
        const packet = bytes.subarray(0, size)
        this.#version = checkClientPacket(packet, this.#version)
        this.#isOver = isDisconnect(packet[0]!)
        if (!this.push(packet)) this.#socket.pause()
        if (this.#isOver) return
        bytes = bytes.subarray(size)
      }
    } catch (error) {
      if (!(error instanceof RefusedPacketError)) throw error
      this.#refuse(error)
      return
    }
    this.#buffered = bytes.length === 0 ? [] : [bytes]
    this.#bufferedBytes = bytes.length
  }

  // Undefined = not all there yet.
  #packetSize(bytes: Buffer): number | undefined {
    // Now, not when it is all there: what speaks HTTP here would wait for as long as we do.
    if (this.#version === undefined && bytes.length > 0) checkFirstByte(bytes[0]!)
    let length = 0
    for (let index = 1; ; index++) {
      if (index > 4) throw new RefusedPacketError('the Remaining Length has more than four bytes')
      if (index >= bytes.length) {
        this.#neededBytes = index + 1
        return undefined
      }
      const byte = bytes[index]!
      length |= (byte & 0x7f) << (7 * (index - 1))
      if ((byte & 0x80) !== 0) continue
      const size = index + 1 + length
      const sizeMax = this.#version === undefined ? this.#connectBytesMax : this.#packetBytesMax
      if (size > sizeMax) {
        throw new RefusedPacketError(
          `the packet says it has ${size} bytes, at most ${sizeMax} are taken`,
          REASON.packetTooLarge,
        )
      }
      this.#neededBytes = size
      return bytes.length >= size ? size : undefined
    }
  }

  #refuse(reason: RefusedPacketError): void {
    this.#isOver = true
    this.#isRefused = true
    const socket = this.#socket
    const farewell = this.#farewell(reason)
    if (farewell === undefined) {
      socket.destroy()
    } else {
      // Destroying at once, with bytes of the client still unread, would reset the connection and lose the answer.
      socket.end(farewell)
      socket.resume()
      const timer = setTimeout(() => socket.destroy(), LINGER_MS)
      socket.once('close', () => clearTimeout(timer))
    }
    this.#options.onRefused?.(reason)
    this.destroy()
  }

  // MQTT 5 §4.13.1: a DISCONNECT only after CONNACK, and only to MQTT 5; a CONNECT may be refused by CONNACK.
  #farewell({ reasonCode, connectVersion }: RefusedPacketError): Buffer | undefined {
    if (this.#version === 5 && this.#isConnackSent) return Buffer.from([0xe0, 1, reasonCode])
    if (this.#version !== undefined) return undefined
    if (connectVersion === 5) return Buffer.from([0x20, 3, 0, reasonCode, 0])
    // The version is unknown; the shape of 3.1.1 is what its [MQTT-3.1.2-2] asks for.
    if (reasonCode === REASON.unsupportedProtocolVersion) return Buffer.from([0x20, 2, 0, 1])
    if (reasonCode === REASON.notAuthorized) return Buffer.from([0x20, 2, 0, 5])
    return undefined
  }
}
