// The gRPC server: the Open Inference Protocol's service, with the status codes of the V2 routes.
import { once } from 'node:events'
import {
  logVerbosity,
  Server,
  ServerCredentials,
  setLogVerbosity,
  status,
  type handleBidiStreamingCall,
  type handleUnaryCall,
  type ServiceError,
} from '@grpc/grpc-js'
import type { WireRequest } from '@inferwire/protocol'
import type { Models } from '../call.ts'
import { Failure } from '../failure.ts'
import type { Model } from '../model.ts'
import { ModelServerError } from '../model-server-error.ts'
import type { ServerMetadata } from '../v2.ts'
import { infer } from './infer.ts'
import { readService } from './inference-proto.ts'

const CLOSE_WAIT_MS = 1000
/** The details of a status are sent in an HTTP/2 header, which must stay short. */
const DETAILS_LENGTH_MAX = 1000

/** A running gRPC server. */
export interface GrpcServer {
  readonly port: number
  /** Stops listening, and waits for running calls (at most a second). */
  close(): Promise<void>
}

/** Options of the gRPC server. */
export interface GrpcServerOptions {
  readonly host: string
  /** 0 selects a free port. */
  readonly port: number
  /** Maximum size of a request in bytes; larger requests receive RESOURCE_EXHAUSTED. */
  readonly requestBytesMax: number
  readonly metadata: ServerMetadata
}

/** Starts the server, without TLS. @throws ModelServerError if it cannot listen on the address */
export async function startGrpcServer(models: Models, options: GrpcServerOptions): Promise<GrpcServer> {
  const { host, port, requestBytesMax, metadata } = options
  // By default, grpc-js writes every error to standard error, in addition to returning the error.
  setLogVerbosity(logVerbosity.NONE)
  const server = new Server({
    'grpc.max_receive_message_length': requestBytesMax,
    'grpc.max_send_message_length': -1,
  })
  server.addService(readService(), {
    ServerLive: unary(() => ({ live: true })),
    ServerReady: unary(() => ({ ready: true })),
    ServerMetadata: unary(() => metadata),
    ModelReady: unary(({ name }: Named) => ({ ready: modelOf(models, name) !== undefined })),
    ModelMetadata: unary(({ name }: Named) => describe(modelOf(models, name))),
    ModelInfer: unary((request: WireRequest, signal) => infer(models, request, signal)),
    ModelStreamInfer: stream((request, signal) => infer(models, request, signal)),
  })
  const boundPort = await bind(server, host, port)
  return { port: boundPort, close: () => close(server) }
}

interface Named {
  readonly name: string
}

function modelOf(models: Models, name: string): Model {
  const model = models.get(name)
  if (model === undefined) throw Failure.error(404, `Model with name ${name} does not exist.`)
  return model
}

function describe({ name, inputs, outputs }: Model): object {
  return { name, platform: 'onnx_onnxruntime', inputs, outputs }
}

function unary<Request>(
  handle: (request: Request, signal: AbortSignal) => object | Promise<object>,
): handleUnaryCall<Request, object> {
  return (call, callback) => {
    const gone = new AbortController()
    call.on('cancelled', () => gone.abort())
    const answer = async (): Promise<void> => {
      let response: object
      try {
        response = await handle(call.request, gone.signal)
      } catch (error) {
        return callback(toStatus(error))
      }
      callback(null, response)
    }
    void answer()
  }
}

/** As on Triton: one response for each request, in order. An error is sent as a message, and the stream continues. */
function stream(
  handle: (request: WireRequest, signal: AbortSignal) => Promise<object>,
): handleBidiStreamingCall<WireRequest, object> {
  return (call) => {
    const gone = new AbortController()
    call.on('cancelled', () => gone.abort())
    // An error on the client's side ends the call.
    call.on('error', () => gone.abort())
    const answer = async (): Promise<void> => {
      // By default, the call would be destroyed after the last request, before the last response is sent.
      const requests: AsyncIterable<WireRequest> = call.iterator({ destroyOnReturn: false })
      for await (const request of requests) {
        const response = await handle(request, gone.signal).then(
          (inferred) => ({ infer_response: inferred }),
          (error: unknown) => ({ error_message: toStatus(error).details }),
        )
        if (gone.signal.aborted) return
        if (!call.write(response)) await once(call, 'drain', { signal: gone.signal })
      }
      call.end()
    }
    answer().catch(() => call.end())
  }
}

const CODES: Readonly<Record<number, status>> = {
  400: status.INVALID_ARGUMENT,
  404: status.NOT_FOUND,
  422: status.INVALID_ARGUMENT,
  501: status.UNIMPLEMENTED,
  503: status.UNAVAILABLE,
}

function toStatus(error: unknown): Pick<ServiceError, 'code' | 'details'> {
  const failure = Failure.from(error)
  return {
    code: CODES[failure.status] ?? status.INTERNAL,
    details: failure.message.slice(0, DETAILS_LENGTH_MAX),
  }
}

async function bind(server: Server, host: string, port: number): Promise<number> {
  const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  try {
    return await new Promise((resolve, reject) => {
      server.bindAsync(address, ServerCredentials.createInsecure(), (error, boundPort) => {
        if (error === null) resolve(boundPort)
        else reject(error)
      })
    })
  } catch (error) {
    throw new ModelServerError(
      'grpc_listen_failed',
      `The model server cannot listen on ${address} for gRPC: ${error instanceof Error ? error.message : String(error)}. ` +
        'Stop the process that uses the port, or choose another port.',
      error,
    )
  }
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const impatience = setTimeout(() => server.forceShutdown(), CLOSE_WAIT_MS)
    server.tryShutdown(() => {
      clearTimeout(impatience)
      resolve()
    })
  })
}
