// A gRPC connection without a network: each call receives the configured response.
import { EventEmitter } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http2'
import type { OperationName } from '@inferwire/protocol'
import { GrpcUpstream, ServiceTime, type GrpcTarget } from '../../../packages/connector/src/internal.ts'
import type { Endpoint } from '../../../packages/connector/src/step.ts'

/** A response of the model server or of a gateway. */
export interface GrpcAnswer {
  readonly headers: IncomingHttpHeaders
  readonly body: readonly Buffer[]
  /** Empty = the response ends without trailers. */
  readonly trailers: IncomingHttpHeaders
}

/** Returns the endpoint of a model whose server sends this response to each call. */
export function grpcEndpoint(
  operation: OperationName,
  answer: GrpcAnswer,
  responseBytesMax: number,
): Endpoint {
  const link = { isReady: true, error: undefined, answered: () => {}, request: () => new FakeStream(answer) }
  const connection = {
    hasBeenReady: true,
    began: () => link,
    ended: () => {},
    replace: () => {},
    replaceSilent: () => {},
  }
  const target: GrpcTarget = {
    connection: connection as unknown as GrpcTarget['connection'],
    origin: 'http://h',
    credential: { headers: () => [] },
    isRepeatable: true,
    responseBytesMax,
    errorText: 'first-line',
    host: undefined,
    serviceTime: new ServiceTime(),
    stream: { idleTimeoutMs: 1_000, timeoutMs: 10_000, coalesceMs: 0 },
  }
  return new GrpcUpstream(target, 'm', ['v2'], []).endpoint(operation, 'v2')!
}

// The members of a ClientHttp2Stream that the connector uses. The response begins when the request has ended.
class FakeStream extends EventEmitter {
  readonly rstCode = 0
  readonly writableFinished = true
  readonly #answer: GrpcAnswer
  #isClosed = false

  constructor(answer: GrpcAnswer) {
    super()
    this.#answer = answer
  }

  cork(): void {}

  write(): void {}

  end(): void {
    const { headers, body, trailers } = this.#answer
    this.emit('response', headers)
    for (const chunk of body) if (!this.#isClosed) this.emit('data', chunk)
    if (this.#isClosed) return
    if (Object.keys(trailers).length > 0) this.emit('trailers', trailers)
    this.emit('end')
    this.emit('close')
  }

  close(): void {
    this.#isClosed = true
  }
}
