// Sends requests in order. The number of unacknowledged requests never exceeds the broker's Receive Maximum.
import { InferwireError } from './error.ts'
import { publishPacketBytes } from './packet-size.ts'
import type { PendingRequest } from './request.ts'
import type { Connection, Message } from './transport.ts'

const CANCELS_MAX = 4_096

/** The send queue of the current connection. Contains at most as many requests as the client has in flight. */
export class SendWindow {
  readonly #protocolVersion: 4 | 5
  readonly #line = new Set<PendingRequest>()
  // Cancel messages that wait for the Receive Maximum or for a connection.
  readonly #cancels: Message[] = []
  #connection: Connection | undefined
  #unacknowledged = 0

  constructor(protocolVersion: 4 | 5) {
    this.#protocolVersion = protocolVersion
  }

  /** Starts using a new connection, on which nothing is unacknowledged. */
  open(connection: Connection): void {
    this.#connection = connection
    this.#unacknowledged = 0
    this.#send()
  }

  /** Stops using the connection. Cancel messages wait for the next connection. */
  close(): void {
    this.#connection = undefined
    this.clear()
  }

  /** Removes all waiting requests. */
  clear(): void {
    this.#line.clear()
  }

  /** Queues the request until the Receive Maximum allows sending it. Does nothing without a connection. */
  add(request: PendingRequest): void {
    if (this.#connection === undefined) return
    this.#line.add(request)
    this.#send()
  }

  delete(request: PendingRequest): void {
    this.#line.delete(request)
  }

  /**
   * Publishes a cancel message, ahead of the requests. If there is no connection, the message waits for the next
   * connection. If too many cancel messages are waiting, the request runs until its deadline; its reply is
   * ignored.
   */
  cancel(request: PendingRequest): void {
    if (this.#cancels.length >= CANCELS_MAX) return
    this.#cancels.push(request.cancelMessage())
    this.#send()
  }

  #send(): void {
    // MQTT 5 §4.9; mqtt.js does not enforce the broker's Receive Maximum.
    while (this.#connection !== undefined && this.#unacknowledged < this.#connection.limits.receiveMaximum) {
      const cancel = this.#cancels.shift()
      const [request] = this.#line
      if (cancel !== undefined) this.#pass(this.#connection, cancel)
      else if (request === undefined) return
      else {
        this.#line.delete(request)
        this.#publish(this.#connection, request)
      }
    }
  }

  #publish(connection: Connection, request: PendingRequest): void {
    const message = request.message()
    const bytes = publishPacketBytes(message, this.#protocolVersion)
    const { packetBytesMax } = connection.limits
    if (bytes > packetBytesMax) {
      const { model } = request.spec
      request.fail(
        new InferwireError(
          'payload_too_large',
          `The request to model "${model}" is a packet of ${bytes} bytes; the broker accepts at most ${packetBytesMax}.`,
          { model },
        ),
      )
      return
    }
    request.sent()
    this.#pass(connection, message, (reasonCode) => request.acknowledged(reasonCode))
  }

  #pass(connection: Connection, message: Message, acknowledged?: (reasonCode: number) => void): void {
    this.#unacknowledged++
    connection.publish(message, (reasonCode) => {
      if (connection !== this.#connection) return
      this.#unacknowledged--
      acknowledged?.(reasonCode)
      this.#send()
    })
  }
}
