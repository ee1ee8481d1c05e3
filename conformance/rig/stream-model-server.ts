// The fake model server for streams of server-sent events: a model's name selects its behaviour. The first level of a
// path selects the kind of server: `openai`, `generate` (as Triton) or `infer_stream` (as MLServer).
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** `end` is the last event of a complete stream, or empty if this kind of server sends none. */
type Behave = (response: ServerResponse, end: string) => void

const EVENT_STREAM = { 'content-type': 'text/event-stream; charset=utf-8' }
const PAGE = '<!DOCTYPE html><html><head><title>Sign In</title></head></html>'
const KEEP_ALIVE_MS = 50
const LARGE = 'x'.repeat(200_000)

/** Returns the data of one event, for any model: a chunk that every dialect accepts. */
export function chunk(content: string, finishReason: string | null = null): string {
  return JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: finishReason }] })
}

const event = (data: string): string => `data: ${data}\n\n`
const PARTS = [chunk('a'), chunk('b', 'stop')].map(event).join('')

/** Starts a stream with some text. */
function begin(response: ServerResponse, text: string): ServerResponse {
  response.writeHead(200, EVENT_STREAM)
  response.write(text)
  return response
}

/** Writes comments until the connection closes. */
function comment(response: ServerResponse): void {
  const timer = setInterval(() => response.write(': keep-alive\n\n'), KEEP_ALIVE_MS)
  response.on('close', () => clearInterval(timer))
}

const STREAMS: Readonly<Record<string, Behave>> = {
  cut: (response) => {
    begin(response, event(chunk('a')))
    // The part before the fault must reach the client first.
    setTimeout(() => response.socket?.destroy(), KEEP_ALIVE_MS)
  },
  'cut-in-event': (response) => {
    begin(response, event(chunk('a')) + 'data: {"choices":')
    setTimeout(() => response.socket?.destroy(), KEEP_ALIVE_MS)
  },
  'end-in-event': (response) => void begin(response, event(chunk('a'))).end('data: {"choices":'),
  idle: (response) => void begin(response, event(chunk('a'))),
  'idle-with-comments': (response) => comment(begin(response, event(chunk('a')))),
  hang: (response) => response.writeHead(200, EVENT_STREAM).flushHeaders(),
  'only-comments': (response) => comment(begin(response, ': keep-alive\n\n')),
  'not-json': (response) => void begin(response, event('oops')).end(),
  'error-event': (response) => {
    begin(response, event(chunk('a'))).end(event('{"error":"the model failed"}'))
  },
  'named-error': (response) => {
    begin(response, event(chunk('a'))).end(`event: error\n${event('{"message":"the model failed"}')}`)
  },
  'large-event': (response) => void begin(response, event(chunk(LARGE))).end(),
  'endless-line': (response) => {
    response.writeHead(200, EVENT_STREAM)
    const more = (): void => {
      while (!response.destroyed) if (!response.write(LARGE)) return void response.once('drain', more)
    }
    more()
  },
  page: (response) => response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE),
  gzip: (response) => response.writeHead(200, { ...EVENT_STREAM, 'content-encoding': 'gzip' }).end('x'),
  busy: (response) => response.writeHead(429, { 'content-type': 'application/json' }).end('{"error":"busy"}'),
  'framed-400': (response) => response.writeHead(400, EVENT_STREAM).end(event('{"error":"wrong shape"}')),
  // Valid streams in unusual forms.
  'one-byte': (response, end) => {
    response.writeHead(200, EVENT_STREAM)
    const bytes = Array.from((PARTS + end).replaceAll('\n', '\r\n'))
    const more = (): void => {
      const next = bytes.shift()
      if (next === undefined) response.end()
      else response.write(next, more)
    }
    more()
  },
  'several-lines': (response, end) =>
    void begin(response, `: comment\nid: 1\nevent: chunk\ndata: ${chunk('a')}\n\n`).end(
      `data:${chunk('b', 'stop').replace(',', ',\ndata: ')}\n\n${end}`,
    ),
}

// All other models answer with a complete stream of two parts.
const STREAM_MODELS = Object.keys(STREAMS)

/** A running fake model server for streams. */
export class StreamModelServer {
  readonly url: string
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  /** Starts a server on a free loopback port. */
  static async start(): Promise<StreamModelServer> {
    const server = createServer((request, response) => void serve(request, response))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new StreamModelServer(server)
  }

  /** Stops listening and closes all connections. */
  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.on('error', () => {})
  let body = ''
  for await (const part of request.setEncoding('utf8')) body += part as string
  const [, kind = '', path = ''] = /^\/(\w+)(\/.*)$/.exec(request.url ?? '') ?? []
  const json = (status: number, value: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
  }
  if (kind === 'openai' && path === '/v1/models') {
    return json(200, { object: 'list', data: STREAM_MODELS.map((id) => ({ id, object: 'model' })) })
  }
  const [, model = '', operation] = /^\/v2\/models\/([^/]+)(?:\/(\w+))?$/.exec(path) ?? []
  const isStream = kind === 'openai' ? path === '/v1/chat/completions' : (operation ?? '').startsWith(kind)
  if (!isStream) {
    const isModel = model !== '' && kind !== 'openai' && (operation === undefined || operation === 'ready')
    return isModel ? json(200, { name: model, inputs: [], outputs: [] }) : json(404, { error: 'Not Found' })
  }
  if (request.method === 'GET') return json(405, { error: 'Method Not Allowed' })
  const name = kind === 'openai' ? (JSON.parse(body) as { model: string }).model : model
  const behave = STREAMS[name] ?? ((each, end) => void begin(each, PARTS + end).end())
  behave(response, kind === 'openai' ? event('[DONE]') : '')
}
