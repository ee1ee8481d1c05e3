// A stand-in for the API server, which lists and watches objects like the real one, and fails on request. It knows one
// kind of objects per path, and only label selectors of the form `key=value`.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { KubeObject } from '../kube-object.ts'

/** An answer with an error status. */
interface Refusal {
  readonly status: number
  readonly retryAfter?: string
  readonly body?: string
  readonly location?: string
}

/** How the next request fails. */
export type Fault =
  | Refusal
  /** Breaks the connection: before the answer, or after this many bytes of its body. */
  | { readonly cutAfterBytes: number }
  /** Answers with this body, after which the connection ends. */
  | { readonly body: string }
  /** Never answers. */
  | 'silence'

interface Change {
  readonly version: number
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: KubeObject
}

/** Key and value that an object must have. */
type Label = readonly [string, string]

/** The objects of a list, or those of its remaining pages. */
interface Snapshot {
  readonly version: number
  readonly objects: readonly KubeObject[]
}

interface OpenWatch {
  readonly response: ServerResponse
  readonly collection: string
  readonly label: Label | undefined
}

/** The kind of the objects. */
export const WIDGETS = { group: 'example.org', version: 'v1alpha1', plural: 'widgets' } as const

/** The stand-in. */
export class ApiServer {
  /** Method and URL of every request. */
  readonly requests: string[] = []
  /** Faults of the next requests, in their order. */
  readonly faults: Fault[] = []
  /** Splits what is sent into chunks. */
  split: (bytes: Buffer) => Buffer[] = (bytes) => [bytes]
  /** Decides from the request whether it is refused. */
  refuse: (request: IncomingMessage) => number | undefined = () => undefined
  /** Whether a version that is too old is answered with a 410, and not with an ERROR event. */
  isGoneAStatus = false
  readonly #server: Server
  readonly #isTls: boolean
  readonly #objects = new Map<string, KubeObject>()
  readonly #watches = new Set<OpenWatch>()
  // The remaining pages of lists, by the token that asks for them.
  readonly #rests = new Map<string, Snapshot>()
  #history: Change[] = []
  #version = 100
  #compacted = 0
  #uids = 0
  #port = 0

  /** @param tls undefined = HTTP without TLS */
  constructor(tls?: ServerOptions) {
    const answer = (request: IncomingMessage, response: ServerResponse): void => {
      response.on('error', () => {})
      void this.#answer(request, response)
    }
    this.#server = tls === undefined ? createServer(answer) : createTlsServer(tls, answer)
    this.#server.on('tlsClientError', () => {})
    this.#isTls = tls !== undefined
  }

  get url(): string {
    return `${this.#isTls ? 'https' : 'http'}://127.0.0.1:${this.#port}`
  }

  /** All objects, by `namespace/name`. */
  get objects(): ReadonlyMap<string, KubeObject> {
    return this.#objects
  }

  get watchCount(): number {
    return this.#watches.size
  }

  /** Listens, after `stop` again on the same port. */
  async start(): Promise<void> {
    // Meanwhile, an outgoing connection of another process may have the port for a moment.
    for (let tries = 0; ; tries += 1) {
      this.#server.listen(this.#port, '127.0.0.1')
      try {
        await once(this.#server, 'listening')
        break
      } catch (error) {
        if (tries === 200 || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    this.#port = (this.#server.address() as AddressInfo).port
  }

  /** Refuses connections. */
  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    this.#watches.clear()
    await closed
  }

  /** Creates or changes an object. */
  put(
    namespace: string,
    name: string,
    { metadata = {}, ...content }: { readonly metadata?: object; readonly [member: string]: unknown } = {},
    labels: Record<string, string> = {},
  ): KubeObject {
    const key = `${namespace}/${name}`
    const before = this.#objects.get(key)
    this.#version += 1
    const object: KubeObject = {
      apiVersion: 'example.org/v1alpha1',
      kind: 'Widget',
      metadata: {
        labels,
        name,
        namespace,
        uid: before?.metadata.uid ?? `uid-${(this.#uids += 1)}`,
        resourceVersion: String(this.#version),
        ...metadata,
      },
      ...content,
    }
    this.#objects.set(key, object)
    this.#happened({ version: this.#version, type: before === undefined ? 'ADDED' : 'MODIFIED', object })
    return object
  }

  /** Deletes an object. */
  delete(namespace: string, name: string): void {
    const before = this.#objects.get(`${namespace}/${name}`)
    if (before === undefined) return
    this.#objects.delete(`${namespace}/${name}`)
    this.#version += 1
    const object = { ...before, metadata: { ...before.metadata, resourceVersion: String(this.#version) } }
    this.#happened({ version: this.#version, type: 'DELETED', object })
  }

  /** Forgets the changes up to now, like a compaction of etcd. */
  compact(): void {
    this.#compacted = this.#version
    this.#history = []
  }

  /** Sends a bookmark to every watch. */
  bookmark(): void {
    const object = { kind: 'Widget', metadata: { resourceVersion: String(this.#version) } }
    for (const { response } of this.#watches) this.#send(response, line('BOOKMARK', object))
  }

  /** Sends text to every watch. */
  sendRaw(text: string): void {
    for (const { response } of this.#watches) this.#send(response, text)
  }

  /** Breaks every watch, after this text. */
  cutWatches(text = ''): void {
    for (const { response } of this.#watches) {
      if (text === '') response.destroy()
      else response.write(text, () => response.destroy())
    }
    this.#watches.clear()
  }

  /** Ends every watch as the API server does after `timeoutSeconds`. */
  endWatches(): void {
    for (const { response } of this.#watches) response.end()
    this.#watches.clear()
  }

  #happened(change: Change): void {
    this.#history.push(change)
    for (const watch of this.#watches) if (concerns(watch, change.object)) this.#sendChange(watch, change)
  }

  // As with the real server, an object whose labels no longer match is reported as deleted.
  #sendChange({ response, label }: OpenWatch, { type, object }: Change): void {
    const isMatch = label === undefined || object.metadata.labels?.[label[0]] === label[1]
    this.#send(response, line(isMatch ? type : 'DELETED', object))
  }

  #send(response: ServerResponse, text: string): void {
    for (const part of this.split(Buffer.from(text))) response.write(part)
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests.push(`${request.method} ${request.url}`)
    const url = new URL(request.url!, 'http://server')
    const status = this.refuse(request)
    const fault = status === undefined ? this.faults.shift() : { status }
    if (fault === 'silence') return
    if (fault !== undefined && 'cutAfterBytes' in fault && fault.cutAfterBytes === 0) {
      response.destroy()
      return
    }
    if (fault !== undefined && 'status' in fault) return fail(response, fault)
    if (fault !== undefined && 'body' in fault) {
      response.end(fault.body)
      return
    }
    if (request.method === 'POST') {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      response.writeHead(201).end(Buffer.concat(chunks))
      return
    }
    if (url.pathname === '/version') {
      response.end('{"major":"1"}')
      return
    }
    const label = url.searchParams.get('labelSelector')?.split('=') as Label | undefined
    if (url.searchParams.get('watch') === '1') return this.#watch(url, label, response)
    const text = this.#list(url, label)
    if (text === undefined) return fail(response, { status: 410, body: JSON.stringify(GONE) })
    const cut = fault === undefined ? undefined : fault.cutAfterBytes
    for (const part of this.split(Buffer.from(cut === undefined ? text : text.slice(0, cut)))) {
      response.write(part)
      // Lets the part leave as a chunk of its own.
      await new Promise(setImmediate)
    }
    if (cut === undefined) response.end()
    else response.destroy()
  }

  /** Returns a page, or undefined if the changes since the first page have been forgotten. */
  #list(url: URL, label: Label | undefined): string | undefined {
    const token = url.searchParams.get('continue')
    const { version, objects } =
      token === null ? this.#snapshot(url.pathname, label) : this.#rests.get(token)!
    if (version < this.#compacted) return undefined
    const limit = Number(url.searchParams.get('limit') ?? 1e9)
    const next = `rest-${this.#rests.size}`
    if (objects.length > limit) this.#rests.set(next, { version, objects: objects.slice(limit) })
    // Custom resources come with sorted members: the objects before the metadata.
    return JSON.stringify({
      apiVersion: 'example.org/v1alpha1',
      items: objects.slice(0, limit),
      kind: 'WidgetList',
      metadata: {
        ...(objects.length > limit ? { continue: next } : {}),
        resourceVersion: String(version),
      },
    })
  }

  #snapshot(collection: string, label: Label | undefined): Snapshot {
    const watch = { collection, label }
    const objects = [...this.#objects.values()].filter(
      (object) =>
        concerns(watch, object) && (label === undefined || object.metadata.labels?.[label[0]] === label[1]),
    )
    return { version: this.#version, objects }
  }

  #watch(url: URL, label: Label | undefined, response: ServerResponse): void {
    const since = Number(url.searchParams.get('resourceVersion'))
    if (since < this.#compacted && this.isGoneAStatus) {
      fail(response, { status: 410, body: JSON.stringify(GONE) })
      return
    }
    response.writeHead(200).flushHeaders()
    if (since < this.#compacted) {
      this.#send(response, line('ERROR', GONE))
      response.end()
      return
    }
    const watch = { response, collection: url.pathname, label }
    for (const change of this.#history) {
      if (change.version > since && concerns(watch, change.object)) this.#sendChange(watch, change)
    }
    this.#watches.add(watch)
    response.on('close', () => this.#watches.delete(watch))
  }
}

const GONE = { code: 410, reason: 'Expired', message: 'too old resource version' }

function fail(response: ServerResponse, { status, retryAfter, body, location }: Refusal): void {
  response.writeHead(status, {
    ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }),
    ...(location === undefined ? {} : { location }),
  })
  response.end(body ?? JSON.stringify({ kind: 'Status', code: status, message: 'refused on request' }))
}

function concerns({ collection }: Pick<OpenWatch, 'collection'>, { metadata }: KubeObject): boolean {
  const namespace = /\/namespaces\/([^/]+)\//.exec(collection)?.[1]
  return namespace === undefined || metadata.namespace === namespace
}

function line(type: string, object: object): string {
  return `${JSON.stringify({ type, object })}\n`
}
