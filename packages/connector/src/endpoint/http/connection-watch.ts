// Detects what undici does not report: 1xx answers that it refuses, and connections that were cut off.
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { getSystemErrorName } from 'node:util'
import { InterimAnswers, type InterimFault } from './interim-answers.ts'

/** The server sends something else than the answer to the request. */
class InterimAnswerError extends Error {
  readonly code = 'INTERIM_ANSWER'
}

const FAULTS: Readonly<Record<InterimFault, string>> = {
  switched: 'The server answered 101 (Switching Protocols), which was not asked for.',
  endless: 'The server sent interim answers (1xx) without an end.',
}

/** Watches one socket from its connection to its end; it must be made before undici gets the socket. */
export class ConnectionWatch {
  readonly #interim = new InterimAnswers()
  #isCutOff = false

  constructor(socket: Socket) {
    socket.on('error', () => (this.#isCutOff = true))
    this.#watchReads(socket)
    if (socket instanceof TLSSocket) this.#watchEnd(socket)
  }

  /** The connection broke, or ended over TLS without a closure alert: an answer that only its end bounds is not whole. */
  get isCutOff(): boolean {
    return this.#isCutOff
  }

  /** A request goes out: what is read next is its answer. */
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

// Node.js does not distinguish the end of the TCP connection from the closure alert. But at the moment when the TLS
// stream ends, its TCP handle still reads after an alert (EALREADY), and does not after the end of TCP. Should a later
// Node.js have no such handle, every such body is treated as cut off.
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
