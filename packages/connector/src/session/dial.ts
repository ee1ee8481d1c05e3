// Opens the byte stream to the broker over TCP, TLS or WebSocket, with Nagle's algorithm off.
import { connect as connectTcp, isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { readTlsFiles, type TlsConfig } from '../config/index.ts'

/**
 * The broker's address and TLS settings. The TLS files are read again for every connection, so that they can be
 * rotated.
 */
export interface DialTarget {
  /** `mqtt`, `mqtts`, `ws` or `wss` URL. */
  readonly url: string
  readonly tls: TlsConfig
}

const DEFAULT_PORTS: Record<string, number> = { 'mqtt:': 1883, 'mqtts:': 8883, 'ws:': 80, 'wss:': 443 }

/** An open byte stream. */
export interface ByteStream {
  readonly stream: Duplex
  /** Registers the sink of received bytes. */
  onBytes(sink: ByteSink): void
}

/** Takes received bytes. */
export interface ByteSink {
  /** Takes bytes that are valid only until the call returns. */
  take(bytes: Buffer): void
  /** The memory into which the next bytes may be read; undefined if they must be passed to `take`. */
  readonly space: Buffer | undefined
  /** Takes the first `count` bytes of `space`, which were read into it. */
  filled(count: number): void
}

// This size is large enough to read a few hundred small requests or a typical tensor in one system call.
const RECEIVE_BUFFER_BYTES = 128 * 1024

/** Resolves when bytes can be written. @throws the socket's error, or the signal's reason. */
export async function dial(target: DialTarget, signal: AbortSignal): Promise<ByteStream> {
  signal.throwIfAborted()
  const url = new URL(target.url)
  if (url.protocol === 'mqtt:') return await dialTcp(url, signal)
  const stream = await dialWrapped(target, url, signal)
  return { stream, onBytes: (sink) => void stream.on('data', (bytes) => sink.take(bytes)) }
}

// Uses one receive buffer for the whole connection; by default Node.js would allocate a buffer for every read. The rest
// of a large packet is read directly into its own memory.
async function dialTcp(url: URL, signal: AbortSignal): Promise<ByteStream> {
  let sink: ByteSink | undefined
  const receiveBuffer = Buffer.allocUnsafeSlow(RECEIVE_BUFFER_BYTES)
  const onread = {
    // Called after each read, when the sink has taken its bytes.
    buffer: () => sink?.space ?? receiveBuffer,
    callback: (count: number, buffer: Uint8Array) => {
      if (buffer === receiveBuffer) sink?.take(receiveBuffer.subarray(0, count))
      else sink?.filled(count)
      return true
    },
  }
  const stream = await opened(connectTcp({ ...addressOf(url), noDelay: true, onread }), 'connect', signal)
  return { stream, onBytes: (given) => (sink = given) }
}

async function dialWrapped(target: DialTarget, url: URL, signal: AbortSignal): Promise<Duplex> {
  switch (url.protocol) {
    case 'mqtts:':
      return await opened(
        connectTls({ ...addressOf(url), ...tlsOptions(target, url) }).setNoDelay(true),
        'secureConnect',
        signal,
      )
    default:
      return await dialWebSocket(target, url, signal)
  }
}

// `ws` is loaded only when a WebSocket URL is used: loading the package costs memory and start-up time.
async function dialWebSocket(target: DialTarget, url: URL, signal: AbortSignal): Promise<Duplex> {
  const { WebSocket, createWebSocketStream } = await import('ws')
  signal.throwIfAborted()
  const socket = new WebSocket(url, 'mqtt', {
    perMessageDeflate: false,
    followRedirects: false,
    ...(url.protocol === 'wss:' ? tlsOptions(target, url) : {}),
  })
  const stream = createWebSocketStream(socket)
  // The stream emits the socket's error too. Without this listener, the error that the socket itself emits would
  // be an uncaught exception.
  socket.on('error', () => {})
  return await new Promise((resolve, reject) => {
    const stop = (): void => fail(signal.reason)
    const fail = (error: unknown): void => {
      signal.removeEventListener('abort', stop)
      stream.destroy()
      reject(error)
    }
    stream.once('error', fail)
    signal.addEventListener('abort', stop, { once: true })
    socket.once('open', () => {
      signal.removeEventListener('abort', stop)
      stream.off('error', fail)
      resolve(stream)
    })
  })
}

function addressOf(url: URL): { host: string; port: number } {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  return { host, port: url.port === '' ? DEFAULT_PORTS[url.protocol]! : Number(url.port) }
}

function tlsOptions(target: DialTarget, url: URL) {
  const { serverName } = target.tls
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  return {
    // SNI takes only host names (RFC 6066 §3).
    ...(serverName !== undefined ? { servername: serverName } : isIP(host) === 0 ? { servername: host } : {}),
    minVersion: 'TLSv1.2' as const,
    ...readTlsFiles(target.tls),
  }
}

function opened<Stream extends Duplex>(stream: Stream, event: string, signal: AbortSignal): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const stop = (): void => fail(signal.reason)
    const fail = (error: unknown): void => {
      signal.removeEventListener('abort', stop)
      stream.destroy()
      // The destroyed socket may still emit an error.
      stream.on('error', () => {})
      reject(error)
    }
    stream.once('error', fail)
    signal.addEventListener('abort', stop, { once: true })
    stream.once(event, () => {
      signal.removeEventListener('abort', stop)
      stream.off('error', fail)
      resolve(stream)
    })
  })
}
