// The model server's process, as the run holds it.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { spawnTied } from '../fixtures/processes.ts'

/** `busy` answers 503, `slow` thinks longer. */
export type UpstreamMood = 'well' | 'busy' | 'slow'

/** What the process tells: requests that it was called for since the last time. */
export interface UpstreamReport {
  readonly calls: readonly number[]
  /** Calls so far that no request of this run explains. */
  readonly strangers: number
}

const PROGRAM = fileURLToPath(new URL('upstream-process.ts', import.meta.url))
const TYPESCRIPT = new URL('../../scripts/typescript.mjs', import.meta.url).href

/** A running model server. */
export class ChaosUpstream {
  readonly port: number
  readonly #child: ChildProcess
  readonly #onCall: (number: number) => void
  strangers = 0

  private constructor(child: ChildProcess, port: number, onCall: (number: number) => void) {
    this.#child = child
    this.port = port
    this.#onCall = onCall
    child.on('message', (message: UpstreamReport) => this.#take(message))
  }

  static async start(onCall: (number: number) => void): Promise<ChaosUpstream> {
    const child = spawnTied(process.execPath, ['--import', TYPESCRIPT, PROGRAM], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const [message] = (await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code]) => {
        throw new Error(`The model server of the chaos run ended with ${code} before it listened.`)
      }),
    ])) as [{ readonly port: number }]
    return new ChaosUpstream(child, message.port, onCall)
  }

  get pid(): number {
    return this.#child.pid!
  }

  feel(mood: UpstreamMood): void {
    this.#child.send({ mood })
  }

  /** Resolves when everything that was called so far is in the ledger. */
  async flush(): Promise<void> {
    const reported = once(this.#child, 'message')
    this.#child.send({ flush: true })
    await reported
  }

  async stop(): Promise<void> {
    const gone = once(this.#child, 'exit')
    this.#child.disconnect()
    await gone
  }

  #take(message: UpstreamReport): void {
    this.strangers = message.strangers
    for (const number of message.calls) this.#onCall(number)
  }
}
