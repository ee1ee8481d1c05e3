// A small Kubernetes API client, for requests and watches.
import { Agent, request as httpsRequest } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'

/** Any Kubernetes object, without static types. */
export type KubeObject = any

/** A response with an error status. */
export class KubeApiError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

const PATCHES = {
  merge: 'application/merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const

/** A client for one server with one token. */
export class KubeApi {
  readonly #url: URL
  readonly #ca: Buffer
  readonly #token: string
  readonly #agent: Agent

  constructor(url: string, ca: Buffer, token: string) {
    this.#url = new URL(url)
    this.#ca = ca
    this.#token = token
    this.#agent = new Agent({ ca, keepAlive: true, maxSockets: 32 })
  }

  /** Returns a client for the same server with a different token. */
  as(token: string): KubeApi {
    return new KubeApi(this.#url.href, this.#ca, token)
  }

  get(path: string): Promise<KubeObject> {
    return this.call('GET', path)
  }

  create(path: string, object: KubeObject): Promise<KubeObject> {
    return this.call('POST', path, object)
  }

  patch(path: string, object: KubeObject, kind: keyof typeof PATCHES = 'merge'): Promise<KubeObject> {
    return this.call('PATCH', path, object, PATCHES[kind])
  }

  delete(path: string, gracePeriodSeconds?: number): Promise<KubeObject> {
    return this.call('DELETE', path, gracePeriodSeconds === undefined ? undefined : { gracePeriodSeconds })
  }

  /** Creates or changes the object by server-side apply. */
  apply(path: string, object: KubeObject): Promise<KubeObject> {
    return this.patch(`${path}?fieldManager=cluster-fixture&force=true`, object, 'apply')
  }

  async call(
    method: string,
    path: string,
    body?: KubeObject,
    type = 'application/json',
  ): Promise<KubeObject> {
    const response = await this.#send(method, path, body, type)
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString('utf8')
    const status = response.statusCode ?? 0
    if (status >= 400) throw new KubeApiError(status, `${method} ${path}: ${status} ${messageOf(text)}`)
    return text.startsWith('{') ? JSON.parse(text) : text
  }

  /**
   * Reports every object of a collection, and then every change until the signal is aborted. Missed events are reported
   * as a change or a deletion.
   */
  async watch(
    path: string,
    signal: AbortSignal,
    onChange: (object: KubeObject, isDeleted: boolean) => void,
  ): Promise<void> {
    const known = new Map<string, KubeObject>()
    let listed!: () => void
    let failed!: (reason: unknown) => void
    const first = new Promise<void>((resolve, reject) => {
      listed = resolve
      failed = reject
    })
    const take = (object: KubeObject): void => {
      const before = known.get(object.metadata.uid)
      known.set(object.metadata.uid, object)
      if (before?.metadata.resourceVersion !== object.metadata.resourceVersion) onChange(object, false)
    }
    const drop = (uid: string, object: KubeObject): void => {
      known.delete(uid)
      onChange(object, true)
    }
    const relist = async (): Promise<string> => {
      const list = await this.get(path)
      const uids = new Set((list.items as KubeObject[]).map((item) => item.metadata.uid as string))
      for (const [uid, object] of known) if (!uids.has(uid)) drop(uid, object)
      for (const item of list.items) take(item)
      return list.metadata.resourceVersion as string
    }
    const follow = async (version: string): Promise<void> => {
      const query = `watch=1&allowWatchBookmarks=true&resourceVersion=${version}`
      const response = await this.#send('GET', `${path}?${query}`, undefined, '', signal)
      for await (const line of createInterface({ input: response })) {
        const { type, object } = JSON.parse(line) as { type: string; object: KubeObject }
        if (type === 'ERROR') return
        if (type === 'DELETED') drop(object.metadata.uid, object)
        else if (type !== 'BOOKMARK') take(object)
      }
    }
    const run = async (): Promise<void> => {
      while (!signal.aborted) {
        try {
          const version = await relist()
          listed()
          await follow(version)
        } catch (error) {
          if (signal.aborted) return
          failed(error)
          await delay(200)
        }
      }
    }
    void run()
    await first
  }

  close(): void {
    this.#agent.destroy()
  }

  #send(
    method: string,
    path: string,
    body: KubeObject,
    type: string,
    signal?: AbortSignal,
  ): Promise<IncomingMessage> {
    // Node.js sends no Content-Length for the body of a DELETE by default.
    const text = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
    return new Promise((resolve, reject) => {
      const request = httpsRequest(
        new URL(path, this.#url),
        {
          method,
          // A watch occupies a connection, so it does not use the shared agent.
          ...(signal === undefined ? { agent: this.#agent } : { signal, agent: false, ca: this.#ca }),
          headers: {
            authorization: `Bearer ${this.#token}`,
            accept: 'application/json, application/jwk-set+json',
            ...(text === undefined ? {} : { 'content-type': type, 'content-length': text.length }),
          },
        },
        resolve,
      )
      request.once('error', reject)
      request.end(text)
    })
  }
}

function messageOf(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text
  } catch {
    return text
  }
}
