// A model server that speaks HTTP as no server should, byte by byte; the model's name says how.
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'

/** A running one. */
export interface HostileUpstream {
  readonly port: number
  /** Calls of that model; metadata and readiness are none. */
  calls(model: string): number
  close(): Promise<void>
}

type Behaviour = (socket: Socket) => void

const OK = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n'

const BEHAVIOURS: Readonly<Record<string, Behaviour>> = {
  // FIN instead of an answer; what we send afterwards would still be read.
  'half-close': (socket) => socket.end(),
  'slow-loris': (socket) => trickle(socket, `${OK}content-length: 1000\r\n\r\n`, 1000),
  'slow-headers': (socket) => trickle(socket, 'HTTP/1.1 200 OK\r\n', 1000),
  'endless-headers': (socket) => flood(socket, OK, (count) => `x-${count}: ${'y'.repeat(1000)}\r\n`),
  'endless-1xx': (socket) => flood(socket, '', () => 'HTTP/1.1 100 Continue\r\n\r\n'),
  'endless-body': (socket) =>
    flood(socket, `${OK}content-length: 10737418240\r\n\r\n`, () => ' '.repeat(65_536)),
  'endless-chunks': (socket) =>
    flood(socket, `${OK}transfer-encoding: chunked\r\n\r\n`, () => `10000\r\n${' '.repeat(65_536)}\r\n`),
  'bad-chunk': (socket) => socket.write(`${OK}transfer-encoding: chunked\r\n\r\nZZZ\r\n{}\r\n0\r\n\r\n`),
  'two-lengths': (socket) =>
    socket.write(`${OK}content-length: 2\r\ncontent-length: 18\r\n\r\n{"predictions":[1]}`),
  'huge-length': (socket) => socket.write(`${OK}content-length: 99999999999999999999\r\n\r\n{}`),
  'deep-json': (socket) => {
    const depth = 400_000
    const body = `${'['.repeat(depth)}${']'.repeat(depth)}`
    socket.write(`${OK}content-length: ${body.length}\r\n\r\n${body}`)
  },
  gzip: (socket) => socket.write(`${OK}content-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00`),
}

/** The names that mean trouble. */
export const HOSTILITIES = Object.keys(BEHAVIOURS)

/** With a certificate it speaks TLS. */
export async function startHostileUpstream(tls?: {
  readonly cert: string
  readonly key: string
}): Promise<HostileUpstream> {
  const calls: Record<string, number> = {}
  const sockets = new Set<Socket>()
  const serve = (socket: Socket): void => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      const head = text.indexOf('\r\n\r\n')
      if (head === -1) return
      const length = Number(/content-length: (\d+)/i.exec(text.slice(0, head))?.[1] ?? 0)
      if (text.length < head + 4 + length) return
      const [, method = '', model = ''] = /^(\w+) \/v1\/models\/([^/: ]+)/.exec(text) ?? []
      text = text.slice(head + 4 + length)
      if (method === 'GET') {
        const body = JSON.stringify({ name: model, ready: true })
        return void socket.write(`${OK}content-length: ${body.length}\r\n\r\n${body}`)
      }
      calls[model] = (calls[model] ?? 0) + 1
      BEHAVIOURS[model]?.(socket)
    })
  }
  const server: Server =
    tls === undefined
      ? createServer({ allowHalfOpen: true }, serve)
      : createTlsServer({ ...tls }, serve).on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    calls: (model) => calls[model] ?? 0,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

function trickle(socket: Socket, text: string, everyMs: number): void {
  let at = 0
  const timer = setInterval(() => {
    if (socket.destroyed) clearInterval(timer)
    else socket.write(text[at++] ?? ' ')
  }, everyMs)
}

// Up to 10 GB, as fast as it is read.
function flood(socket: Socket, head: string, next: (count: number) => string): void {
  socket.write(head)
  let left = 10 * 1024 ** 3
  const more = (): void => {
    while (left > 0 && !socket.destroyed) {
      const text = next(left)
      left -= text.length
      if (!socket.write(text)) return void socket.once('drain', more)
    }
  }
  more()
}
