// Passes only well-formed packets from a socket to the embedded broker.
//
// mqtt-packet 9 returns `null` for a property that is longer than its packet. This file therefore splits the
// stream into packets, and checks each packet before mqtt-packet parses it.
import { Duplex } from 'node:stream'
import {
  checkClientPacket,
  checkFirstByte,
  isConnackWithSuccess,
  isDisconnect,
  type ClientVersion,
} from './check-packet.ts'
import { REASON, RefusedPacketError } from './refused-packet.ts'

/** Limits of one connection, in bytes, and a callback for a refused packet. */
export interface GuardOptions {
  /** Size of the largest accepted packet. @default 64 MiB */
  readonly packetBytesMax?: number
  /** Size of the largest accepted CONNECT, which may contain a Will with properties. @default 256 KiB */
  readonly connectBytesMax?: number
  /** Number of unsent bytes above which the stream applies backpressure. @default 1 MiB */
  readonly highWaterMarkBytes?: number
  /** Receives the reason when the connection is closed because of a packet. Called at most once. */
  readonly onRefused?: (reason: RefusedPacketError) => void
}

/**
 * Returns the stream that the broker uses instead of `socket`. Each `data` event contains one whole packet. A
 * malformed packet closes the connection. Packets after CONNECT are held back until the broker has sent a
 * successful CONNACK.
 *
 * The stream emits {@link PROGRESS} whenever the socket has accepted part of the unsent data.
 */
export function guardPackets(socket: Duplex, options: GuardOptions = {}): Duplex {
  return new GuardedStream(socket, options)
}

/** The name of the event that is described at {@link guardPackets}. */
export const PROGRESS = 'progress'

// How long a refused client has to read the reason.
const LINGER_MS = 250
// Smaller chunks are joined, because a copy is cheaper than another system call (or another WebSocket frame). Larger
// chunks are split, so that a client that reads slowly can be distinguished from one that reads nothing.
const PART_BYTES_MAX = 64 * 1024

class GuardedStream extends Duplex {
  readonly #socket: Duplex
  readonly #options: GuardOptions
  readonly #packetBytesMax: number
  readonly #connectBytesMax: number
  #buffered: Buffer[] = []
  #bufferedBytes = 0
  // How many bytes must be buffered before the first packet can be checked or passed on.
  #neededBytes = 2
  #version: ClientVersion | undefined
  // Whether a successful CONNACK has been sent.
  #isAccepted = false
  // Whether the client has sent DISCONNECT or has been refused. After that, all input is ignored.
  #isOver = false
  #isRefused = false
  // The parts that have not been passed to the socket yet.
  #parts: IterableIterator<Buffer> = [].values()

  constructor(socket: Duplex, options: GuardOptions) {
    super({ readableObjectMode: true, writableHighWaterMark: options.highWaterMarkBytes ?? 1024 * 1024 })
    this.#socket = socket
    this.#options = options
    this.#packetBytesMax = options.packetBytesMax ?? 64 * 1024 * 1024
    this.#connectBytesMax = options.connectBytesMax ?? 256 * 1024
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('end', () => this.push(null))
    socket.on('error', () => this.destroy())
    socket.on('close', () => this.destroy())
  }

  override _read(): void {
    if (!this.#isWaiting) this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#send([chunk], done)
  }

  // Chunks that were written together are also sent together.
  override _writev(items: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#send(
      items.map(({ chunk }) => chunk),
      done,
    )
  }

  override _final(done: () => void): void {
    this.#socket.end(done)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#buffered = []
    if (!this.#isRefused) this.#socket.destroy()
    done(error)
  }

  // Whether CONNECT was received, but the client has not been accepted or refused yet.
  get #isWaiting(): boolean {
    return this.#version !== undefined && !this.#isAccepted && !this.#isOver
  }

  #send(chunks: readonly Buffer[], done: (error?: Error | null) => void): void {
    const [first] = chunks
    const isDecided = this.#isWaiting && first !== undefined
    if (isDecided && isConnackWithSuccess(first)) this.#isAccepted = true
    else if (isDecided) this.#isOver = true
    this.#parts = partsOf(chunks)
    this.#sendNext(done)
    // Later packets are passed on in the next tick, because the broker must finish handling CONNECT first.
    if (isDecided) process.nextTick(() => this.#continue())
  }

  #sendNext(done: (error?: Error | null) => void): void {
    const { value: part } = this.#parts.next()
    if (part === undefined || this.#isRefused || !this.#socket.writable) return done()
    this.#socket.write(part, (error) => {
      if (error !== undefined && error !== null) return done(error)
      this.emit(PROGRESS)
      this.#sendNext(done)
    })
  }

  // Called after CONNACK.
  #continue(): void {
    if (this.destroyed) return
    this.#cut()
    this.#socket.resume()
  }

  #take(chunk: Buffer): void {
    if (this.destroyed || this.#isOver) return
    this.#buffered.push(chunk)
    this.#bufferedBytes += chunk.length
    this.#cut()
  }

  // Passes on every whole packet.
  #cut(): void {
    if (this.#isOver || this.#isWaiting || this.#bufferedBytes < this.#neededBytes) return
    const [front = Buffer.alloc(0)] = this.#buffered
    let bytes = this.#buffered.length === 1 ? front : Buffer.concat(this.#buffered, this.#bufferedBytes)
    try {
      for (
        let size = this.#packetSize(bytes);
        size !== undefined && !this.#isWaiting;
        size = this.#packetSize(bytes)
      ) {
        const packet = bytes.subarray(0, size)
        this.#version = checkClientPacket(packet, this.#version)
        this.#isOver = isDisconnect(packet[0]!)
        const isTaken = this.push(packet)
        if (!isTaken || this.#isWaiting) this.#socket.pause()
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

  // Returns the size of the first packet; undefined = it has not arrived completely.
  #packetSize(bytes: Buffer): number | undefined {
    // The first byte is checked before the packet is complete. Otherwise a client of another protocol, such as
    // HTTP, would wait forever.
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
          `the packet has ${size} bytes; the limit is ${sizeMax}`,
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
    const lastPacket = this.#lastPacket(reason)
    // Completes the packet that is being sent.
    for (const part of this.#parts) socket.write(part)
    if (lastPacket === undefined) {
      socket.destroy()
    } else {
      // If the socket were destroyed while input is unread, the connection would be reset and this packet would be
      // lost.
      socket.end(lastPacket)
      socket.resume()
      const timer = setTimeout(() => socket.destroy(), LINGER_MS)
      socket.once('close', () => clearTimeout(timer))
    }
    this.#options.onRefused?.(reason)
    this.destroy()
  }

  // MQTT 5 §4.13.1: DISCONNECT is sent only after CONNACK, and only with MQTT 5. A CONNECT is refused with
  // CONNACK.
  #lastPacket({ reasonCode, connectVersion }: RefusedPacketError): Buffer | undefined {
    if (this.#version === 5 && this.#isAccepted) return Buffer.from([0xe0, 1, reasonCode])
    if (this.#version !== undefined) return undefined
    if (connectVersion === 5) return Buffer.from([0x20, 3, 0, reasonCode, 0])
    // The version is not supported; MQTT 3.1.1 [MQTT-3.1.2-2] requires this CONNACK.
    if (reasonCode === REASON.unsupportedProtocolVersion) return Buffer.from([0x20, 2, 0, 1])
    if (reasonCode === REASON.notAuthorized) return Buffer.from([0x20, 2, 0, 5])
    return undefined
  }
}

function* partsOf(chunks: readonly Buffer[]): Generator<Buffer, undefined> {
  let small: Buffer[] = []
  let smallBytes = 0
  for (const chunk of chunks) {
    if (smallBytes + chunk.length <= PART_BYTES_MAX) {
      small.push(chunk)
      smallBytes += chunk.length
      continue
    }
    if (smallBytes > 0) yield Buffer.concat(small, smallBytes)
    small = []
    smallBytes = 0
    for (let start = 0; start < chunk.length; start += PART_BYTES_MAX) {
      yield chunk.subarray(start, start + PART_BYTES_MAX)
    }
  }
  if (smallBytes > 0) yield Buffer.concat(small, smallBytes)
  return undefined
}
