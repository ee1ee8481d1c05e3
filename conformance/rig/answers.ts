// Answers of the fake model server, as functions that can be combined: JSON, text, raw bytes, no answer, late and
// endless answers.
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** A request to the fake model server. */
export interface ModelCall {
  readonly method: string
  readonly path: string
  /** Name of the model; '' if neither the path nor an OpenAI body contains one. */
  readonly model: string
  /** undefined if the path belongs to neither V1 nor V2. */
  readonly protocol: 'v1' | 'v2' | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** Where an answer is written: the response, or its socket for raw bytes. */
export interface Reply {
  readonly response: ServerResponse
  readonly socket: Socket
}

/** Answers a call, or leaves it unanswered. */
export type Answer = (reply: Reply, call: ModelCall) => void

type Headers = Readonly<Record<string, string>>

const JSON_TYPE = 'application/json'
const HUGE_BYTES = 10 * 1024 ** 3

/** Answers with JSON; `body` is JSON text, or a value to convert to JSON. */
export function json(status: number, body: unknown, headers: Headers = {}): Answer {
  return text(status, JSON_TYPE, typeof body === 'string' ? body : JSON.stringify(body), headers)
}

/** Answers with any content type. The body is sent in chunks unless the headers contain a Content-Length. */
export function text(status: number, contentType: string, body: string, headers: Headers = {}): Answer {
  return ({ response }) => {
    response.writeHead(status, { 'content-type': contentType, ...headers })
    response.end(body)
  }
}

/** Answers with the body of the request. */
export const echo: Answer = (reply, call) => json(200, call.body.toString('utf8'))(reply, call)

/** Answers with the body of the request as the only prediction (V1). */
export const predictBody: Answer = (reply, call) =>
  json(200, `{"predictions":[${call.body.toString('utf8')}]}`)(reply, call)

/** Never answers. */
export const hang: Answer = () => {}

/** Resets the connection. */
export const reset: Answer = ({ socket }) => socket.resetAndDestroy()

/** Writes bytes to the socket, and leaves the connection open. */
export function bytes(raw: string): Answer {
  return ({ socket }) => void socket.write(raw)
}

/** Writes bytes to the socket, then ends the connection. */
export function bytesThenEnd(raw: string): Answer {
  return ({ socket }) => socket.end(raw)
}

/** Writes the bytes one at a time, and then writes spaces until the connection closes. */
export function trickle(raw: string, everyMs: number): Answer {
  return ({ socket }) => {
    let at = 0
    const timer = setInterval(() => {
      if (socket.destroyed) clearInterval(timer)
      else socket.write(raw[at++] ?? ' ')
    }, everyMs)
  }
}

/** Writes up to 10 GB to the socket, as fast as the client reads. */
export function flood(head: string, next: (count: number) => string): Answer {
  return ({ socket }) => {
    socket.write(head)
    let left = HUGE_BYTES
    const more = (): void => {
      while (left > 0 && !socket.destroyed) {
        const piece = next(left)
        left -= piece.length
        if (!socket.write(piece)) return void socket.once('drain', more)
      }
    }
    more()
  }
}

/** Answers after a delay, unless the connection has closed by then. */
export function after(delayMs: number, answer: Answer): Answer {
  if (delayMs === 0) return answer
  return (reply, call) =>
    void setTimeout(() => {
      if (!reply.socket.destroyed) answer(reply, call)
    }, delayMs)
}

/** Holds calls until the test releases them. */
export class Gate {
  readonly #held = new Set<() => void>()

  /** Number of calls that are waiting. */
  get open(): number {
    return this.#held.size
  }

  /**
   * Returns an answer that waits at this gate. With `models`, calls wait only if the name of the model begins with
   * `models`.
   */
  hold(answer: Answer, models = ''): Answer {
    return (reply, call) => {
      if (!call.model.startsWith(models)) return answer(reply, call)
      const release = (): void => answer(reply, call)
      this.#held.add(release)
      reply.response.on('close', () => this.#held.delete(release))
    }
  }

  /** Answers the calls that are waiting, the oldest first. @param count number of calls @default all */
  release(count = this.#held.size): void {
    for (const release of [...this.#held].slice(0, count)) release()
  }
}
