// Starts and stops the server with its engine, models and routes.
import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Server } from 'node:http'
import type { Route } from './call.ts'
import { findEngine, type Engine } from './engine.ts'
import { createHttpServer } from './http-server.ts'
import { ModelServerError } from './model-server-error.ts'
import { loadModel, type Model, type ModelSource } from './model.ts'
import { v1Routes } from './v1.ts'
import { v2Routes } from './v2.ts'

/** Options of a model server. */
export interface ModelServerOptions {
  /** Address to listen on. @default '127.0.0.1' */
  readonly host?: string
  /** TCP port; 0 selects a free one. @default 0 */
  readonly port?: number
  /** The models to serve; `bundledModels()` returns those in the package. */
  readonly models: readonly ModelSource[]
  /** Largest request body in bytes; larger ones receive 413. @default 16777216 */
  readonly requestBytesMax?: number
}

/** A running model server: every model is loaded and ready. */
export interface ModelServer {
  /** Base URL without a trailing slash, such as `http://127.0.0.1:8080`. */
  readonly url: string
  readonly port: number
  /** Names of the served models. */
  readonly models: readonly string[]
  /** The package in use: `onnxruntime-node` or `onnxruntime-web`. */
  readonly engine: string
  /** Stops listening, waits for running requests (at most 5 s), and frees the models. May be called again. */
  close(): Promise<void>
}

const REQUEST_BYTES_MAX = 16 * 1024 * 1024
const CLOSE_WAIT_MS = 5000

/**
 * Loads the models and serves them over V1 and V2 REST.
 * @throws ModelServerError if a model cannot be loaded, or the server cannot listen on the address
 */
export async function startModelServer(options: ModelServerOptions): Promise<ModelServer> {
  const { host = '127.0.0.1', port = 0, requestBytesMax = REQUEST_BYTES_MAX } = options
  checkNames(options.models)
  const engine = await findEngine()
  const models = await loadModels(engine, options.models)
  const server = createHttpServer(routesOf(models), requestBytesMax)
  try {
    await listen(server, host, port)
  } catch (error) {
    await release(models.values())
    throw error
  }
  const { port: boundPort, family, address } = server.address() as AddressInfo
  let closed: Promise<void> | undefined
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${boundPort}`,
    port: boundPort,
    models: [...models.keys()],
    engine: engine.name,
    close: () => (closed ??= close(server, models)),
  }
}

function routesOf(models: ReadonlyMap<string, Model>): Route[] {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  const server = { name: 'inferwire-model-server', version, extensions: ['binary_tensor_data'] }
  return [
    { method: 'GET', path: /^\/$/, handle: () => '{"status":"alive"}' },
    ...v1Routes(models),
    ...v2Routes(models, server),
  ]
}

function checkNames(sources: readonly ModelSource[]): void {
  const seen = new Set<string>()
  for (const { name, file } of sources) {
    // A name must be one path segment and one topic level, without a colon: in V1, a colon precedes the operation.
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name)) {
      throw new ModelServerError(
        'invalid_model_name',
        `"${name}" is not a valid model name (file "${file}"). Use letters, digits, ".", "_" and "-", at most 128.`,
      )
    }
    if (seen.has(name)) {
      throw new ModelServerError(
        'duplicate_model_name',
        `Two models are named "${name}"; the second is "${file}". Give it another name.`,
      )
    }
    seen.add(name)
  }
}

/** Loads all models and reports all failures together. */
async function loadModels(engine: Engine, sources: readonly ModelSource[]): Promise<Map<string, Model>> {
  const results = await Promise.allSettled(sources.map((source) => loadModel(engine, source)))
  const loaded = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))
  if (errors.length > 0) {
    await release(loaded)
    const [first] = errors
    if (errors.length === 1 || !(first instanceof ModelServerError)) throw first
    throw new ModelServerError(first.code, errors.map(String).join('\n'), first)
  }
  return new Map(loaded.map((model) => [model.name, model]))
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

async function close(server: Server, models: ReadonlyMap<string, Model>): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeIdleConnections()
  const impatience = setTimeout(() => server.closeAllConnections(), CLOSE_WAIT_MS)
  await closed
  clearTimeout(impatience)
  await release(models.values())
}

async function release(models: Iterable<Model>): Promise<void> {
  await Promise.allSettled(Array.from(models, (model) => model.release()))
}
