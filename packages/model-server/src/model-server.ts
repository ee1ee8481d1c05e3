// Starts and stops the server with its engine, models and routes.
import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Server } from 'node:http'
import type { Route } from './call.ts'
import { Connections } from './connections.ts'
import type { GrpcServer } from './grpc/grpc-server.ts'
import { createHttpServer } from './http-server.ts'
import { Generations } from './language/generations.ts'
import type { LanguageModel } from './language/language-model.ts'
import { ModelServerError } from './model-server-error.ts'
import type { ModelSource } from './model.ts'
import { modelList, openAiRoutes } from './openai/openai.ts'
import { loadServedModels, type ServedModels } from './served-models.ts'
import { v1Routes } from './v1.ts'
import { v2Routes, type ServerMetadata } from './v2.ts'

/** Options of a model server. */
export interface ModelServerOptions {
  /** Address to listen on. @default '127.0.0.1' */
  readonly host?: string
  /** TCP port; 0 selects a free one. @default 0 */
  readonly port?: number
  /** TCP port of the gRPC service; 0 selects a free one. @default no gRPC */
  readonly grpcPort?: number | undefined
  /** The models to serve, as ONNX or GGUF files; `bundledModels()` returns those in the package. */
  readonly models: readonly ModelSource[]
  /** Language models to serve; `toyModel()` returns the one in the package. @default none */
  readonly languageModels?: readonly LanguageModel[]
  /** Maximum speed of each text generation of `languageModels`, in tokens per second. @default 30 */
  readonly tokensPerSecond?: number
  /** Receives one line for each text generation that is cancelled or fails. @default no log */
  readonly log?: (line: string) => void
  /** Maximum size of a request body in bytes; larger bodies receive 413. @default 16777216 */
  readonly requestBytesMax?: number
}

/** A running model server: every model is loaded and ready. */
export interface ModelServer {
  /** Base URL without a trailing slash, such as `http://127.0.0.1:8080`. */
  readonly url: string
  readonly port: number
  /** URL of the gRPC service, such as `http://127.0.0.1:8081`; undefined = no gRPC. */
  readonly grpcUrl: string | undefined
  /** Names of the served models. */
  readonly models: readonly string[]
  /** Names of the models that are served over V1, V2 and gRPC. */
  readonly tensorModels: readonly string[]
  /** The package in use: `onnxruntime-node` or `onnxruntime-web`. */
  readonly engine: string
  /** Stops listening, waits for running requests (at most 5 s), and frees the models. May be called again. */
  close(): Promise<void>
}

const REQUEST_BYTES_MAX = 16 * 1024 * 1024
const CLOSE_WAIT_MS = 5000

/**
 * Loads the models and serves them: ONNX models over V1 and V2 REST, language models over OpenAI's API.
 * @throws ModelServerError if a model cannot be loaded, or the server cannot listen on the address
 */
export async function startModelServer(options: ModelServerOptions): Promise<ModelServer> {
  const { host = '127.0.0.1', port = 0, grpcPort, requestBytesMax = REQUEST_BYTES_MAX } = options
  const served = await loadServedModels(options)
  const metadata = readMetadata()
  const server = createHttpServer(
    routesOf(served, metadata, options.log ?? (() => undefined)),
    requestBytesMax,
  )
  const connections = new Connections(server)
  let grpc: GrpcServer | undefined
  try {
    await listen(server, host, port)
    if (grpcPort !== undefined) {
      // gRPC is loaded only if it is used.
      const { startGrpcServer } = await import('./grpc/grpc-server.ts')
      const grpcOptions = { host, port: grpcPort, requestBytesMax, metadata }
      grpc = await startGrpcServer(served.tensorModels, grpcOptions)
    }
  } catch (error) {
    server.close()
    await served.release()
    throw error
  }
  const { port: boundPort, family, address } = server.address() as AddressInfo
  const origin = `http://${family === 'IPv6' ? `[${address}]` : address}`
  const close = async (): Promise<void> => {
    await Promise.all([closeHttp(server, connections), grpc?.close()])
    await served.release()
  }
  let closed: Promise<void> | undefined
  return {
    url: `${origin}:${boundPort}`,
    port: boundPort,
    grpcUrl: grpc === undefined ? undefined : `${origin}:${grpc.port}`,
    tensorModels: [...served.tensorModels.keys()],
    models: [...served.tensorModels.keys(), ...served.languageModels.keys()],
    engine: served.engine,
    close: () => (closed ??= close()),
  }
}

function readMetadata(): ServerMetadata {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  return { name: 'inferwire-model-server', version, extensions: ['binary_tensor_data'] }
}

function routesOf(
  { tensorModels, languageModels }: ServedModels,
  metadata: ServerMetadata,
  log: (line: string) => void,
): Route[] {
  const alive: Route = { method: 'GET', path: /^\/$/, handle: () => '{"status":"alive"}' }
  const tensorRoutes = [alive, ...v2Routes(tensorModels, metadata)]
  // Without a language model there are no OpenAI routes, as in KServe's server.
  if (languageModels.size === 0) return [...tensorRoutes, ...v1Routes(tensorModels)]
  const generations = new Generations(languageModels.keys(), log)
  const startedAt = Math.floor(Date.now() / 1000)
  return [
    ...tensorRoutes,
    ...v1Routes(tensorModels, modelList(languageModels, startedAt)),
    ...openAiRoutes(languageModels, generations, startedAt),
    {
      method: 'GET',
      path: /^\/metrics$/,
      handle: () => ({
        body: Buffer.from(generations.toPrometheus()),
        headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
      }),
    },
  ]
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    const remedy =
      code === 'EADDRINUSE'
        ? 'Stop the process that uses the port, or choose another port.'
        : 'Check the host and the port.'
    throw new ModelServerError(
      'listen_failed',
      `The model server cannot listen on ${host}:${port} (${code || String(error)}). ${remedy}`,
      error,
    )
  }
}

async function closeHttp(server: Server, connections: Connections): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  connections.closeUnused()
  const impatience = setTimeout(() => server.closeAllConnections(), CLOSE_WAIT_MS)
  await closed
  clearTimeout(impatience)
}
