// Stands between a socket and the embedded broker, and lets only well-formed packets of a client through.
//
// mqtt-packet 9 hands a property that runs past its packet over as `null`, and aedes 2.0.0-beta.1 then throws in the
// process: nine bytes would end everything. So a stream is cut into packets here, and each is checked first.
import { Duplex } from 'node:stream'
import { checkClientPacket, MalformedPacketError, type ClientVersion } from './check-packet.ts'

// A CONNECT needs little; a client that has not said who it is gets no more memory than that.
const BYTES_MAX_BEFORE_CONNECT = 64 * 1024
const BYTES_MAX = 64 * 1024 * 1024

/** The stream to give to the broker in place of `socket`. A malformed packet ends the connection. */
export function guardPackets(socket: Duplex): Duplex {
  return new GuardedStream(socket)
}

class GuardedStream extends Duplex {
  readonly #socket: Duplex
  #buffered: Buffer[] = []
  #bufferedBytes = 0
  // Bytes that the packet at the front needs before it can be looked at.
  #neededBytes = 2
  #version: ClientVersion | undefined

  constructor(socket: Duplex) {
    super()
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('end', () => this.push(null))
    socket.on('error', () => this.destroy())
    socket.on('close', () => this.destroy())
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done)
  }

  override _final(done: () => void): void {
    this.#socket.end(done)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy()
    done(error)
  }

  #take(chunk: Buffer): void {
    if (this.destroyed) return
    this.#buffered.push(chunk)
    this.#bufferedBytes += chunk.length
    if (this.#bufferedBytes < this.#neededBytes) return
    let bytes = this.#buffered.length === 1 ? chunk : Buffer.concat(this.#buffered)
    try {
      for (let size = this.#packetSize(bytes); size !== undefined; size = this.#packetSize(bytes)) {
        const packet = bytes.subarray(0, size)
        this.#version = checkClientPacket(packet, this.#version)
        if (!this.push(packet)) this.#socket.pause()
        bytes = bytes.subarray(size)
      }
    } catch (error) {
      if (!(error instanceof MalformedPacketError)) throw error
      this.#refuse()
      return
    }
    this.#buffered = bytes.length === 0 ? [] : [bytes]
    this.#bufferedBytes = bytes.length
  }

  // Undefined = not all there yet.
  #packetSize(bytes: Buffer): number | undefined {
    let length = 0
    for (let index = 1; ; index++) {
      if (index > 4) throw new MalformedPacketError('Remaining Length has more than four bytes')
      if (index >= bytes.length) {
        this.#neededBytes = index + 1
        return undefined
      }
      const byte = bytes[index]!
      length |= (byte & 0x7f) << (7 * (index - 1))
      if ((byte & 0x80) !== 0) continue
      const size = index + 1 + length
      if (size > (this.#version === undefined ? BYTES_MAX_BEFORE_CONNECT : BYTES_MAX)) {
        throw new MalformedPacketError('The packet is too large')
      }
      this.#neededBytes = size
      return bytes.length >= size ? size : undefined
    }
  }

  // MQTT 5 §4.13: DISCONNECT with 0x81, Malformed Packet; older clients are only cut off.
  #refuse(): void {
    if (this.#version === 5) this.#socket.write(Buffer.from([0xe0, 1, 0x81]))
    this.destroy()
  }
}
