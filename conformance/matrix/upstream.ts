// A model server's process, as a row holds it.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { spawnTied } from '../fixtures/processes.ts'
import type { UpstreamOrder } from './upstream-process.ts'

const PROGRAMS = {
  usual: fileURLToPath(new URL('upstream-process.ts', import.meta.url)),
  hostile: fileURLToPath(new URL('hostile-process.ts', import.meta.url)),
}
const TYPESCRIPT = new URL('../../scripts/typescript.mjs', import.meta.url).href

/** Where it listens. */
interface Address {
  readonly port: number
  /** Of the hostile one: TLS with an expired certificate, and the authority that signed it. */
  readonly tlsPort?: number
  readonly caFile?: string
}

/** A running one; see fixtures/misbehaving-upstream.ts and hostile-upstream.ts for what their models do. */
export class MatrixUpstream {
  readonly port: number
  readonly tlsPort: number
  readonly caFile: string
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, { port, tlsPort = 0, caFile = '' }: Address) {
    this.#child = child
    this.port = port
    this.tlsPort = tlsPort
    this.caFile = caFile
  }

  static async begin(kind: keyof typeof PROGRAMS = 'usual'): Promise<MatrixUpstream> {
    const child = spawnTied(process.execPath, ['--import', TYPESCRIPT, PROGRAMS[kind]], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // It is no worker of the tests, and cleans up after itself.
      env: Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== 'VITEST')),
    })
    const gone = once(child, 'exit').then(([code]) => {
      throw new Error(`The ${kind} model server ended with ${code} before it listened.`)
    })
    gone.catch(() => {})
    const [message] = (await Promise.race([once(child, 'message'), gone])) as [Address]
    return new MatrixUpstream(child, message)
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** Calls so far; metadata and readiness are none. */
  async calls(model: string): Promise<number> {
    const { calls } = await this.#order<{ readonly calls: Record<string, number> }>('calls')
    return calls[model] ?? 0
  }

  /** Stops listening and cuts all connections. */
  async stop(): Promise<void> {
    await this.#order('stop')
  }

  /** Listens again on the same port. */
  async start(): Promise<void> {
    await this.#order('start')
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null) return
    const gone = once(this.#child, 'exit')
    this.#child.disconnect()
    await gone
  }

  async #order<T>(order: UpstreamOrder): Promise<T> {
    const answered = once(this.#child, 'message')
    this.#child.send(order)
    const [message] = (await answered) as [T]
    return message
  }
}
