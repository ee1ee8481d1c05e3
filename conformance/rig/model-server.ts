// The fake model server: real HTTP on loopback, answers that can be combined, and a record of all calls.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { json, type Answer, type ModelCall } from './answers.ts'
import { NamedBehaviours } from './model-behaviours.ts'

/** Options of the server. */
export interface FakeModelServerOptions {
  /** The answer to inference requests. @default selected by the model's name, see NamedBehaviours */
  readonly answer?: Answer
  /** The answer to metadata and readiness requests. @default ready, with one input tensor */
  readonly describe?: Answer
  /** Certificate and key for TLS. @default no TLS */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** Selects the calls that `requests` keeps; all others are only counted. @default all */
  readonly keeps?: (call: ModelCall) => boolean
}

const PATH = /^\/(v[12])\/models\/([^/:]+)/
// The routes of the OpenAI API, whose paths do not contain the model.
const OPENAI_PATH = /^\/openai\/v1\/(?:chat\/completions|completions|embeddings)$/
const GENERATE_PATH = /^\/v2\/models\/[^/]+\/generate$/

/** A running fake model server. Records inferences, but not metadata and readiness requests. */
export class FakeModelServer {
  readonly port: number
  /** Inferences in order of arrival. */
  readonly requests: ModelCall[] = []
  readonly #server: Server
  readonly #counts = new Map<string, number>()
  readonly #options: Required<Omit<FakeModelServerOptions, 'tls'>>
  readonly #scheme: string

  private constructor(server: Server, options: FakeModelServerOptions) {
    const { answer = new NamedBehaviours().answer, describe = ready, keeps = () => true } = options
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    this.#scheme = options.tls === undefined ? 'http' : 'https'
    this.#options = { answer, describe, keeps }
    server.on('request', (request, response) => void this.#serve(request, response))
  }

  /** Starts a server on a free loopback port. */
  static async start(options: FakeModelServerOptions = {}): Promise<FakeModelServer> {
    const keepAlive = { keepAlive: true, keepAliveTimeout: 60_000 }
    const server =
      options.tls === undefined
        ? createServer(keepAlive)
        : createTlsServer({ ...keepAlive, ...options.tls }).on('tlsClientError', () => {})
    await listen(server, 0)
    return new FakeModelServer(server, options)
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.port}`
  }

  /** Returns the number of a model's inferences so far. */
  calls(model: string): number {
    return this.#counts.get(model) ?? 0
  }

  /** Number of inferences of each model so far. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts)
  }

  /** Returns the bodies of a model's inferences, in order of arrival. */
  bodies(model: string): string[] {
    return this.requests.filter((call) => call.model === model).map(({ body }) => body.toString())
  }

  /** Stops listening and closes all connections. */
  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }

  /** Listens again on the same port. */
  start(): Promise<void> {
    return listen(this.#server, this.port)
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request
    request.on('error', () => {})
    response.on('error', () => {})
    const body = await bodyOf(request)
    // A connection that was closed before the body was complete does not count as a call.
    if (body === undefined) return
    const path = request.url ?? ''
    const [, version, model = OPENAI_PATH.test(path) ? modelIn(body) : ''] = PATH.exec(path) ?? []
    const protocol = version === 'v1' || version === 'v2' ? version : undefined
    const call: ModelCall = {
      method: request.method ?? '',
      path,
      model,
      protocol,
      headers: request.headers,
      body,
    }
    const { answer, describe, keeps } = this.#options
    if (call.method === 'GET') return describe({ response, socket }, call)
    this.#counts.set(model, this.calls(model) + 1)
    if (keeps(call)) this.requests.push(call)
    answer({ response, socket }, call)
  }
}

/** Answers with the metadata of a model with one input tensor; every model is ready. */
export const ready: Answer = (reply, call) => {
  const { protocol, model, path } = call
  const tensor = { name: 'x', datatype: 'FP32', shape: [-1, 4] }
  if (protocol === undefined) json(404, { detail: 'Not Found' })(reply, call)
  else if (protocol === 'v1' || path.endsWith('/ready')) json(200, { name: model, ready: true })(reply, call)
  else
    json(200, { name: model, versions: ['1'], platform: 'test', inputs: [tensor], outputs: [] })(reply, call)
}

/** Returns an answer like `ready`; in addition, the models have OpenAI routes and Triton's `generate`. */
export function readyForText(models: readonly string[]): Answer {
  const list = json(200, { object: 'list', data: models.map((id) => ({ id, object: 'model' })) })
  // Proves that a route exists that needs the method POST.
  const post = json(405, { error: 'Method Not Allowed' })
  return (reply, call) => {
    const isRoute = OPENAI_PATH.test(call.path) || GENERATE_PATH.test(call.path)
    const answer = call.path === '/openai/v1/models' ? list : isRoute ? post : ready
    answer(reply, call)
  }
}

function modelIn(body: Buffer): string {
  return /"model"\s*:\s*"([^"]*)"/.exec(body.toString())?.[1] ?? ''
}

async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer)
  } catch {
    return undefined
  }
  return Buffer.concat(chunks)
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      resolve()
    })
  })
}
