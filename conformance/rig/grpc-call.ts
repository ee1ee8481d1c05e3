// A gRPC client for the inference service, built on node:http2 without the connector's code.
import { connect, type IncomingHttpHeaders } from 'node:http2'
import { framed, messagesIn } from './grpc-wire.ts'

/** The result of a call. */
export interface GrpcAnswer {
  /** The status code, such as 0 (OK) or 5 (NOT_FOUND). */
  readonly status: number
  /** The status message, percent-decoded. */
  readonly message: string
  /** The messages of the answer: one, or any number for a stream. */
  readonly messages: readonly Buffer[]
}

const SERVICE = '/inference.GRPCInferenceService'
const TIMEOUT_MS = 10_000

/** Calls a method with one message, and ends the request. @throws if the connection breaks */
export function callGrpc(url: string, method: string, message: Buffer): Promise<GrpcAnswer> {
  return new Promise((resolve, reject) => {
    const session = connect(url)
    session.on('error', reject)
    const stream = session.request({
      ':method': 'POST',
      ':path': `${SERVICE}/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    stream.setTimeout(TIMEOUT_MS, () =>
      stream.destroy(new Error(`${method} received no answer within ${TIMEOUT_MS} ms.`)),
    )
    stream.on('error', reject)
    const chunks: Buffer[] = []
    let end: IncomingHttpHeaders = {}
    // An error before the first message has its status in the headers, without trailers.
    stream.on('response', (headers) => (end = headers))
    stream.on('trailers', (trailers) => (end = trailers))
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('close', () => {
      session.close()
      const text = end['grpc-message'] as string | undefined
      resolve({
        status: Number(end['grpc-status']),
        message: decodeURIComponent(text ?? ''),
        messages: messagesIn(Buffer.concat(chunks)),
      })
    })
    stream.end(framed(message))
  })
}
