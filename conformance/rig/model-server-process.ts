// The fake model server in its own process, so that the harness's work does not delay the answers.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { startScript } from '../fixtures/processes.ts'
import type { ModelServerOrder } from './model-server-program.ts'

const PROGRAM = new URL('model-server-program.ts', import.meta.url)

/** The first message of a program: its ports, and the path of the certificate. */
interface Address {
  readonly port: number
  /**
   * The port that uses the expired certificate, and the path of the authority's certificate; only with `hasExpiredTls`.
   */
  readonly tlsPort?: number
  readonly caFile?: string
}

/** A running process. Its program sends its address, then one message for each order. */
export class ModelServerProcess {
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

  /** Starts the fake model server. @param hasExpiredTls also listens with TLS and an expired certificate */
  static start({ hasExpiredTls = false } = {}): Promise<ModelServerProcess> {
    return ModelServerProcess.startProgram(PROGRAM, hasExpiredTls ? ['--expired-tls'] : [])
  }

  /** Starts another program that uses FakeModelServer. That program may also send messages that no order asked for. */
  static async startProgram(program: URL, argv: readonly string[] = []): Promise<ModelServerProcess> {
    const child = startScript(program, argv)
    const gone = once(child, 'exit').then(([code]) => {
      throw new Error(`The model server ended with ${code} before it was listening.`)
    })
    gone.catch(() => {})
    const [address] = (await Promise.race([once(child, 'message'), gone])) as [Address]
    return new ModelServerProcess(child, address)
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** Resolves with the number of a model's inferences so far. */
  async calls(model: string): Promise<number> {
    const counts = (await this.#order('counts')) as Readonly<Record<string, number>>
    return counts[model] ?? 0
  }

  /** Stops listening and closes all connections. */
  async stopListening(): Promise<void> {
    await this.#order('stop')
  }

  /** Listens again on the same port. */
  async listenAgain(): Promise<void> {
    await this.#order('start')
  }

  /** Sends a message. */
  send(message: object): void {
    this.#child.send(message)
  }

  /** Sends a message, and resolves with the next message of the program. */
  async exchange(message: string | object): Promise<unknown> {
    const answered = once(this.#child, 'message')
    this.#child.send(message)
    return (await answered)[0] as unknown
  }

  /** Calls `onReport` for every further message of the program. */
  onMessage(onReport: (report: unknown) => void): void {
    this.#child.on('message', onReport)
  }

  /** Ends the process. */
  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = once(this.#child, 'exit')
    this.#child.disconnect()
    await gone
  }

  #order(order: ModelServerOrder): Promise<unknown> {
    return this.exchange(order)
  }
}
