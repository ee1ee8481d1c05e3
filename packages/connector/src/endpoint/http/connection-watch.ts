// Detects interim responses (1xx) that undici rejects, and truncated responses that undici does not report.
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { getSystemErrorName } from 'node:util'
import { InterimAnswers, type InterimFault } from './interim-answers.ts'

/** The error with which a connection is closed because of the interim responses that the server sent. */
class InterimAnswerError extends Error {
  readonly code = 'INTERIM_ANSWER'
}

const FAULTS: Readonly<Record<InterimFault, string>> = {
  switched: 'The server sent 101 (Switching Protocols), but the request had no Upgrade.',
  endless: 'The server sent interim responses (1xx) without end.',
}

/** Watches one socket until it closes; must be created before undici uses the socket. */
export class ConnectionWatch {
  readonly #interim = new InterimAnswers()
  #isCutOff = false

  constructor(socket: Socket) {
    socket.on('error', () => (this.#isCutOff = true))
    this.#watchReads(socket)
    if (socket instanceof TLSSocket) this.#watchEnd(socket)
  }

  /** Whether the connection broke, or TLS ended without a closure alert, so that the response may be incomplete. */
  get isCutOff(): boolean {
    return this.#isCutOff
  }

  /** Expects a response in the next bytes, because a request is being sent. */
  sent(): void {
    this.#interim.expect()
  }

  #watchReads(socket: Socket): void {
    const read: (size?: number) => unknown = socket.read.bind(socket)
    socket.read = (size) => {
      const chunk = read(size)
      const fault = Buffer.isBuffer(chunk) ? this.#interim.look(chunk) : undefined
      if (fault === undefined) return chunk
      socket.destroy(new InterimAnswerError(FAULTS[fault]))
      return null
    }
  }

  #watchEnd(socket: TLSSocket): void {
    const push = socket.push.bind(socket)
    socket.push = (chunk: unknown, encoding) => {
      if (chunk === null && !hasClosureAlert(socket)) this.#isCutOff = true
      return push(chunk, encoding)
    }
  }
}

// Node.js does not distinguish the end of the TCP connection from the closure alert. But when the TLS stream ends,
// the TCP handle is still reading (EALREADY) if an alert ended the stream, and has stopped reading if TCP ended.
// If a later Node.js version has no such handle, every body that is delimited by the end of a connection is
// treated as truncated.
function hasClosureAlert(socket: object): boolean {
  const handle = memberOf(memberOf(socket, '_handle'), '_parent')
  const readStart = memberOf(handle, 'readStart')
  if (typeof readStart !== 'function') return false
  const result: unknown = Reflect.apply(readStart, handle, [])
  return typeof result === 'number' && result < 0 && getSystemErrorName(result) === 'EALREADY'
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}
