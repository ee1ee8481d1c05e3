// Finds the connections of an HTTP server on which no request is running.
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/** The open connections of a server. */
export class Connections {
  /** Number of running requests of each open connection. */
  readonly #running = new Map<Socket, number>()

  constructor(server: Server) {
    server.on('connection', (socket: Socket) => {
      this.#running.set(socket, 0)
      socket.once('close', () => this.#running.delete(socket))
    })
    server.on('request', ({ socket }, response) => {
      this.#add(socket, 1)
      response.once('close', () => this.#add(socket, -1))
    })
  }

  /**
   * Closes the connections without a running request. `server.closeIdleConnections` leaves a connection open if it has
   * never been used for a request; `fetch` opens such a connection after an aborted request, and keeps it for seconds.
   */
  closeUnused(): void {
    for (const [socket, running] of this.#running) if (running === 0) socket.destroy()
  }

  #add(socket: Socket, change: number): void {
    const running = this.#running.get(socket)
    if (running !== undefined) this.#running.set(socket, running + change)
  }
}
