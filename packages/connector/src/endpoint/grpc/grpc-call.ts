// Makes one gRPC call on a channel, with a deadline and support for cancellation.
import { Metadata, status as codes, type Channel, type StatusObject } from '@grpc/grpc-js'
import { Problem } from '@inferwire/protocol'
import type { Deadline } from '../../step.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import type { ChannelCall, GrpcConnection, OpenCall } from './grpc-connection.ts'

/** The request to send. */
export interface GrpcCallOptions {
  /** Name of the method. */
  readonly method: string
  /** Lower-case names and values, as a flat list. */
  readonly headers: readonly string[]
  /** The encoded message; undefined = the request has no message. */
  readonly message: Buffer | undefined
  readonly deadline: Deadline
  /** Whether the server is told the deadline. Not for a stream, whose deadline changes. */
  readonly sendsTimeout: boolean
  /** Method and URL, for the operator's log. */
  readonly address: string
  /** Receives each message of the response. An error that it throws ends the call, and rejects the promise. */
  readonly onMessage: (message: Buffer) => void
}

const SERVICE = '/inference.GRPCInferenceService/'
// The same time as for a connection over HTTP.
const CONNECT_TIMEOUT_MS = 2_000
const NO_METADATA = new Metadata()

/**
 * Calls a method, and resolves with the final status, whether or not it is OK.
 * @throws Problem `upstream_unreachable` if there is no connection in time, or the deadline's problem
 */
export function callGrpc(connection: GrpcConnection, options: GrpcCallOptions): Promise<StatusObject> {
  return new Promise((resolve, reject) => {
    if (options.deadline.problem !== undefined) return reject(options.deadline.problem)
    new GrpcExchange(connection, options, resolve, reject).start()
  })
}

class GrpcExchange implements OpenCall {
  readonly #connection: GrpcConnection
  readonly #options: GrpcCallOptions
  readonly #resolve: (status: StatusObject) => void
  readonly #reject: (error: unknown) => void
  readonly #channel: Channel
  #call: ChannelCall | undefined
  #connectTimer: NodeJS.Timeout | undefined
  #isOver = false
  #startedAtMs = 0

  constructor(
    connection: GrpcConnection,
    options: GrpcCallOptions,
    resolve: (status: StatusObject) => void,
    reject: (error: unknown) => void,
  ) {
    this.#connection = connection
    this.#options = options
    this.#resolve = resolve
    this.#reject = reject
    this.#channel = connection.channel
  }

  start(): void {
    const { method, message, deadline, sendsTimeout, headers } = this.#options
    this.#startedAtMs = performance.now()
    const untilMs = sendsTimeout ? Date.now() + Math.max(0, deadline.atMs - this.#startedAtMs) : Infinity
    const call = this.#channel.createCall(SERVICE + method, untilMs, null, null, null)
    this.#call = call
    this.#connection.began(this)
    deadline.waiting = (problem) => this.#timedOut(problem)
    if (!this.#connection.isReady) {
      this.#connectTimer = setTimeout(() => this.#checkConnection(), CONNECT_TIMEOUT_MS)
    }
    call.start(metadataOf(headers), {
      onReceiveMetadata: () => this.#connection.answered(this.#channel),
      onReceiveMessage: (received: Buffer) => this.#received(received),
      onReceiveStatus: (status) => this.#ended(status),
    })
    if (message !== undefined) call.sendMessageWithContext({}, message)
    call.halfClose()
    call.startRead()
  }

  cancel(): void {
    this.#fail(new Problem('upstream_unreachable', 'The connection to the model server was closed.'))
  }

  #received(message: Buffer): void {
    if (this.#isOver) return
    try {
      this.#options.onMessage(message)
    } catch (error) {
      return this.#fail(error)
    }
    this.#call!.startRead()
  }

  #ended(status: StatusObject): void {
    if (this.#isOver) return
    if (status.code === codes.DEADLINE_EXCEEDED) this.#suspectConnection()
    this.#end()
    this.#resolve(status)
  }

  #timedOut(problem: Problem): void {
    if (problem.code === 'deadline_exceeded') this.#suspectConnection()
    this.#fail(problem)
  }

  // A server that sends nothing until the deadline may be gone without having closed the connection. Over HTTP, the end
  // of the call closes its connection; here, other calls may share it, so that only further calls avoid it.
  #suspectConnection(): void {
    this.#connection.replaceSilent(this.#channel, this.#startedAtMs)
  }

  #checkConnection(): void {
    if (this.#connection.isReady) return
    this.#suspectConnection()
    const detail = `${this.#options.address}: no connection after ${CONNECT_TIMEOUT_MS} ms`
    this.#fail(
      new UpstreamFailure(
        'unreachable',
        false,
        'upstream_unreachable',
        'The model server cannot be reached.',
        {
          detail,
        },
      ),
    )
  }

  #fail(error: unknown): void {
    if (this.#isOver) return
    this.#end()
    // Sends RST_STREAM with the code CANCEL.
    this.#call?.cancelWithStatus(codes.CANCELLED, 'cancelled')
    this.#reject(error)
  }

  #end(): void {
    this.#isOver = true
    clearTimeout(this.#connectTimer)
    this.#options.deadline.waiting = undefined
    this.#connection.ended(this)
  }
}

function metadataOf(headers: readonly string[]): Metadata {
  if (headers.length === 0) return NO_METADATA
  const metadata = new Metadata()
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index]!.toLowerCase()
    const value = headers[index + 1]!
    // The library sets these names.
    if (name.startsWith('grpc-')) continue
    // gRPC over HTTP/2: the value of a name with this suffix is base64.
    metadata.add(name, name.endsWith('-bin') ? Buffer.from(value, 'base64') : value)
  }
  return metadata
}
