// Stands between a socket and the embedded broker, and lets only well-formed packets of a client through.
//
// mqtt-packet 9 hands a property that runs past its packet over as `null`. So a stream is cut into packets here, and
// each is checked first.
import { Duplex } from 'node:stream'
import {
  checkClientPacket,
  checkFirstByte,
  isConnackWithSuccess,
  isDisconnect,
  type ClientVersion,
} from './check-packet.ts'
import { REASON, RefusedPacketError } from './refused-packet.ts'

/** Limits of one connection, in bytes, and who is told when it is cut off. */
export interface GuardOptions {
  /** Whole packet. @default 64 MiB */
  readonly packetBytesMax?: number
  /** The largest CONNECT. A Will with its properties fits. @default 256 KiB */
  readonly connectBytesMax?: number
  /** When so many bytes wait for the client, the stream asks its writer to wait. @default 1 MiB */
  readonly highWaterMarkBytes?: number
  /** Gets why the connection ends. Called at most once. */
  readonly onRefused?: (reason: RefusedPacketError) => void
}

/**
 * The stream to give to the broker in place of `socket`. Each `data` event has one whole packet. A packet that is not
 * well-formed ends the connection. Packets after CONNECT wait until the broker has sent CONNACK with success.
 *
 * {@link PROGRESS} is emitted whenever the socket has accepted a part of what is to be sent.
 */
export function guardPackets(socket: Duplex, options: GuardOptions = {}): Duplex {
  return new GuardedStream(socket, options)
}

/** See {@link guardPackets}. */
export const PROGRESS = 'progress'

// How long a refused client may take to read why.
const LINGER_MS = 250
// Smaller chunks are joined: a copy is cheaper than another system call (or another WebSocket frame). Larger ones are
// sent in parts, so that a slow client can be told from one that reads nothing.
const PART_BYTES_MAX = 64 * 1024

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
  // CONNACK with success has been sent.
  #isAccepted = false
  // After DISCONNECT or a refusal nothing counts any more.
  #isOver = false
  #isRefused = false
  // What follows the part that the socket has.
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

  // The broker writes a packet field by field; what came together goes out together.
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

  // The client is neither accepted nor refused yet.
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
    // Not from within the write: the broker first finishes what it does with CONNECT.
    if (isDecided) process.nextTick(() => this.#goOn())
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

  // After CONNACK.
  #goOn(): void {
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

  // Hands on every whole packet.
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
    const farewell = this.#farewell(reason)
    // The packet that is being sent stays whole.
    for (const part of this.#parts) socket.write(part)
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
    if (this.#version === 5 && this.#isAccepted) return Buffer.from([0xe0, 1, reasonCode])
    if (this.#version !== undefined) return undefined
    if (connectVersion === 5) return Buffer.from([0x20, 3, 0, reasonCode, 0])
    // The version is unknown; the shape of 3.1.1 is what its [MQTT-3.1.2-2] asks for.
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
