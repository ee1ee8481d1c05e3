// Sends requests in order; the number of unacknowledged ones never exceeds the broker's Receive Maximum.
import { InferwireError } from './error.ts'
import { publishPacketBytes } from './packet-size.ts'
import type { PendingRequest } from './request.ts'
import type { Connection } from './transport.ts'

/** The send queue of the current connection. Contains at most as many requests as the client has in flight. */
export class SendWindow {
  readonly #protocolVersion: 4 | 5
  readonly #line = new Set<PendingRequest>()
  #connection: Connection | undefined
  #unacknowledged = 0

  constructor(protocolVersion: 4 | 5) {
    this.#protocolVersion = protocolVersion
  }

  /** Starts using a new connection, on which nothing is unacknowledged. */
  open(connection: Connection): void {
    this.#connection = connection
    this.#unacknowledged = 0
  }

  close(): void {
    this.#connection = undefined
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

  /** Publishes a cancel message if possible. Otherwise the request runs until its deadline; its reply is ignored. */
  cancel(request: PendingRequest): void {
    const connection = this.#connection
    if (connection === undefined || this.#unacknowledged >= connection.limits.receiveMaximum) return
    this.#unacknowledged++
    connection.publish(request.cancelMessage(), () => {
      if (connection !== this.#connection) return
      this.#unacknowledged--
      this.#send()
    })
  }

  #send(): void {
    for (const request of this.#line) {
      const connection = this.#connection
      // MQTT 5 §4.9; mqtt.js does not enforce the broker's Receive Maximum.
      if (connection === undefined || this.#unacknowledged >= connection.limits.receiveMaximum) return
      this.#line.delete(request)
      this.#publish(connection, request)
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
    this.#unacknowledged++
    request.sent()
    connection.publish(message, (reasonCode) => {
      if (connection !== this.#connection) return
      this.#unacknowledged--
      request.acknowledged(reasonCode)
      this.#send()
    })
  }
}
