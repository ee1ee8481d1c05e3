// Starts and controls the model server of a run.
import { ModelServerProcess } from '../rig/model-server-process.ts'

/** How the model server behaves: `busy` answers 503, `slow` answers late. */
export type ModelServerMood = 'well' | 'busy' | 'slow'

/** A report from the model server's process: the requests that caused a model call since the previous report. */
export interface ModelServerReport {
  readonly calls: readonly number[]
  /** Number of calls so far that do not belong to a request of this run. */
  readonly strangers: number
  /** Number of calls so far that several requests shared. */
  readonly shared: number
  /** Number of streams so far. */
  readonly streams: number
}

const PROGRAM = new URL('model-server-program.ts', import.meta.url)

/** A running model server. */
export class ChaosModelServer {
  readonly #process: ModelServerProcess
  strangers = 0
  shared = 0
  streams = 0

  private constructor(process: ModelServerProcess, onCall: (number: number) => void) {
    this.#process = process
    process.onMessage((report) => {
      const { calls, strangers, shared, streams } = report as ModelServerReport
      Object.assign(this, { strangers, shared, streams })
      for (const number of calls) onCall(number)
    })
  }

  /** Starts the model server. `onCall` receives the number of the request at each model call. */
  static async start(onCall: (number: number) => void): Promise<ChaosModelServer> {
    return new ChaosModelServer(await ModelServerProcess.startProgram(PROGRAM), onCall)
  }

  get port(): number {
    return this.#process.port
  }

  get pid(): number {
    return this.#process.pid
  }

  setMood(mood: ModelServerMood): void {
    this.#process.send({ mood })
  }

  /** Resolves when every call so far has been reported. */
  async flush(): Promise<void> {
    await this.#process.exchange({ flush: true })
  }

  async end(): Promise<void> {
    await this.#process.end()
  }
}
