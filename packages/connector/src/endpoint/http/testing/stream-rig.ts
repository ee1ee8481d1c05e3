// Calls a model server whose streamed answers the test chooses, and collects the parts.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  dialectNames,
  dialectOf,
  operationRoute,
  Problem,
  type Dialect,
  type OperationName,
} from '@inferwire/protocol'
import { expect } from 'vitest'
import type { Deadline, EndpointRequest, EndpointResponse } from '../../../step.ts'
import { STREAM_LIMITS } from '../../testing/stream-limits.ts'
import type { HttpPool } from '../http-pool.ts'
import { HttpUpstream } from '../http-upstream.ts'
import { openPool } from '../open-pool.ts'
import { ServiceTime } from '../../refusal/service-time.ts'

const CHAT = dialectOf('chat', dialectNames())!
const LIST_PATH = operationRoute('metadata', CHAT, 'llm')!.path
const LIST = JSON.stringify({ object: 'list', data: [{ id: 'llm', object: 'model' }] })

/** Answers a POST request. */
export type Answer = (response: ServerResponse, request: IncomingMessage) => void

/** A running deadline that a test can stop. */
interface RunningDeadline extends Deadline {
  stop(problem: Problem): void
  end(): void
}

/** The class `RequestDeadline`. Tests pass it in, because this room does not import `admission/`. */
type DeadlineClass = new (
  receivedAtMs: number,
  timeoutMs: number,
  nowMs: number,
  clientBudgetMs?: number,
) => RunningDeadline

/** What a call resulted in: its parts, and either a response or a problem. */
interface Outcome {
  readonly parts: string[]
  readonly response?: EndpointResponse
  readonly problem?: Problem
}

/** Options of a call; by default, a chat whose limits are not reached. */
interface CallOptions {
  readonly operation?: OperationName
  readonly dialect?: Dialect
  readonly body?: string
  readonly limits?: Partial<typeof STREAM_LIMITS>
  readonly timeoutMs?: number
  readonly clientBudgetMs?: number
  readonly eventBytesMax?: number
  readonly coalesceMs?: number
  readonly onPart?: (deadline: RunningDeadline, count: number) => void
}

/** A model server with the model `llm`, and the pool of connections to it. */
export class StreamRig {
  /** The answer to the next requests. */
  answer!: Answer
  /** The received POST requests, in order. */
  readonly requests: { url: string; body: string }[] = []
  /** Resolves when the connection of the last request closes. */
  closedEarly!: Promise<unknown>
  readonly pool: HttpPool
  readonly #server: Server
  readonly #origin: string
  readonly #Deadline: DeadlineClass

  private constructor(server: Server, Deadline: DeadlineClass) {
    this.#server = server
    this.#Deadline = Deadline
    this.#origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    this.pool = openPool({ url: this.#origin, tls: {}, callsMax: 10 })
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#serve(request, response)
    })
  }

  /** Starts the server; resolves when it listens. */
  static async start(Deadline: DeadlineClass): Promise<StreamRig> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new StreamRig(server, Deadline)
  }

  async stop(): Promise<void> {
    await this.pool.destroy()
    this.#server.closeAllConnections()
    this.#server.close()
  }

  /** Calls the model; resolves when the call has ended. */
  async call({ operation = 'chat', dialect = CHAT, ...options }: CallOptions = {}): Promise<Outcome> {
    const target = {
      pool: this.pool,
      origin: this.#origin,
      pathPrefix: '',
      host: undefined,
      credential: { headers: () => [] },
      isRepeatable: true,
      responseBytesMax: options.eventBytesMax ?? 10_000,
      stream: { ...STREAM_LIMITS, ...options.limits },
      errorText: 'first-line' as const,
      serviceTime: new ServiceTime(),
    }
    const endpoint = new HttpUpstream(target, 'llm', [dialect]).endpoint(operation, dialect)!
    const nowMs = performance.now()
    const { timeoutMs = 10_000, clientBudgetMs } = options
    const deadline = new this.#Deadline(nowMs, timeoutMs, nowMs, clientBudgetMs)
    const parts: string[] = []
    const request: EndpointRequest = {
      body: Buffer.from(options.body ?? '{"stream":true,"messages":[]}'),
      contentType: 'application/json',
      inferenceHeaderContentLength: undefined,
      headers: [],
      deadline,
      coalesceMs: options.coalesceMs,
      emit: ({ body, contentType }) => {
        expect(contentType).toBe('application/json')
        parts.push(Buffer.from(body).toString())
        options.onPart?.(deadline, parts.length)
      },
    }
    try {
      return { parts, response: await endpoint.call(request) }
    } catch (error) {
      return { parts, problem: Problem.from(error) }
    } finally {
      deadline.end()
    }
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    if (request.method === 'GET') {
      const isList = request.url === LIST_PATH
      response.writeHead(isList ? 200 : 404, { 'content-type': 'application/json' })
      return void response.end(isList ? LIST : '{"detail":"Not Found"}')
    }
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      this.requests.push({ url: request.url!, body })
      this.closedEarly = once(response, 'close')
      this.answer(response, request)
    })
  }
}

/** The header of a stream. */
export const SSE = { 'content-type': 'text/event-stream; charset=utf-8' }

/** Returns a chunk of a chat. */
export const chunk = (content: string, finish: string | null = null): string =>
  JSON.stringify({ id: 'c', choices: [{ index: 0, delta: { content }, finish_reason: finish }] })

/** Returns a server-sent event with this data. */
export const event = (data: string): string => `data: ${data}\n\n`

/** The event that ends a chat. */
export const DONE = event('[DONE]')

/** Sends the events, and ends the body. */
export const sending =
  (...events: string[]): Answer =>
  (response) =>
    response.writeHead(200, SSE).end(events.join(''))

/** Sends the events, and breaks the connection without the end of the chunked body. */
export const breaking =
  (...events: string[]): Answer =>
  (response) => {
    response.writeHead(200, SSE)
    response.write(events.join(''), () => setImmediate(() => response.destroy()))
  }

/** Members of the response that ends a stream. */
export const END = { status: 200, contentType: 'text/plain', endsStream: true }
