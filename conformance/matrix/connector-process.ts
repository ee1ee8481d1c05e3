// The built connector as a process of its own, configured as the row says: started, signalled, measured.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConfigInput } from '@inferwire/connector'
import { freePort } from '../fixtures/free-port.ts'
import { INFERWIRE } from '../fixtures/inferwire.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { spawnTied } from '../fixtures/processes.ts'

/** How it is run, beside its configuration. */
export interface ProcessOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Arguments of Node.js itself. */
  readonly nodeArguments?: readonly string[]
  /** Words in front of the command; they must end in an `exec` of what follows. */
  readonly prefix?: readonly string[]
}

/** A line of its log. */
export interface LogLine {
  readonly event: string
  /** Milliseconds since the epoch, when it was read here. */
  readonly readAtMs: number
  readonly text: string
}

const READY_TIMEOUT_MS = 30_000
// A flood of errors must not be the harness's own memory.
const LINES_MAX = 20_000

/** One connector, which may be started again and again under the same name. */
export class ConnectorProcess {
  readonly log: LogLine[] = []
  readonly adminPort: number
  readonly #configFile: string
  readonly #options: ProcessOptions
  #child: ChildProcess | undefined
  #exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }> = Promise.resolve({
    code: 0,
    signal: null,
  })
  #isExpectedToEnd = true
  /** When the last one was started, on the monotonic clock. */
  startedAtMs = 0
  /** Ends that nobody asked for. */
  readonly deaths: string[] = []

  private constructor(configFile: string, adminPort: number, options: ProcessOptions) {
    this.#configFile = configFile
    this.adminPort = adminPort
    this.#options = options
  }

  /** Writes the configuration; does not start it. */
  static async create(config: ConfigInput, options: ProcessOptions = {}): Promise<ConnectorProcess> {
    const folder = tempFolder('matrix')
    const adminPort = await freePort()
    const configFile = join(folder, 'connector.json')
    const whole = {
      poison: { stateFolder: join(folder, 'state') },
      drain: { timeoutMs: 6000 },
      ...config,
      admin: { port: adminPort },
      log: { level: 'info', format: 'json', ...config.log },
    }
    writeFileSync(configFile, JSON.stringify(whole))
    return new ConnectorProcess(configFile, adminPort, options)
  }

  /** Does not wait. */
  start(): void {
    const { env, nodeArguments = [], prefix = [] } = this.#options
    const [program, ...rest] = [
      ...prefix,
      process.execPath,
      ...nodeArguments,
      INFERWIRE,
      'connect',
      '--config',
      this.#configFile,
    ]
    const child = spawnTied(program!, rest, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, NO_COLOR: '1', ...env },
    })
    this.#child = child
    this.startedAtMs = performance.now()
    this.#isExpectedToEnd = false
    child.stderr!.setEncoding('utf8')
    let partial = ''
    child.stderr!.on('data', (text: string) => {
      const lines = (partial + text).split('\n')
      partial = lines.pop()!
      for (const line of lines) this.#said(line)
    })
    this.#exit = once(child, 'exit').then(([code, signal]) => {
      if (!this.#isExpectedToEnd)
        this.deaths.push(`It ended with ${String(code ?? signal)}: ${this.lastWords}`)
      return { code: code as number | null, signal: signal as NodeJS.Signals | null }
    })
  }

  /** Starts it, and resolves with the milliseconds until its session was ready. */
  async startReady(): Promise<number> {
    const before = this.count('session_ready')
    const startedAtMs = performance.now()
    this.start()
    while (this.count('session_ready') === before) {
      const isLate = performance.now() - startedAtMs > READY_TIMEOUT_MS
      if (isLate || !this.isRunning) throw new Error(`The connector is not ready:\n${this.lastWords}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return performance.now() - startedAtMs
  }

  get pid(): number {
    return this.#child!.pid!
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name)
  }

  /** Resolves with the exit code; null after a signal. */
  async end(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<number | null> {
    this.#isExpectedToEnd = true
    this.#child?.kill(signal)
    return (await this.#exit).code
  }

  /** Resolves when it ended by itself. */
  async ended(): Promise<void> {
    this.#isExpectedToEnd = true
    await this.#exit
  }

  /** Lines of the log with that event. */
  count(event: string): number {
    return this.lines(event).length
  }

  lines(event: string): LogLine[] {
    return this.log.filter((line) => line.event === event)
  }

  get lastWords(): string {
    return this.log
      .slice(-12)
      .map(({ text }) => text)
      .join('\n')
  }

  /** The sum of a metric over its labels; `labels` is a part of the text between the braces. */
  async metric(name: string, labels = ''): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.adminPort}/metrics`)
    const lines = (await response.text()).split('\n')
    return lines
      .filter((line) => /^[\w]+/.exec(line)?.[0] === name && line.includes(labels))
      .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  }

  /** Resident memory now, and its peak since the process began or `resetPeak`, in MB (10^6 bytes). Linux. */
  memory(): { readonly rssMb: number; readonly peakMb: number } {
    const text = readFileSync(`/proc/${this.pid}/status`, 'utf8')
    const mb = (field: string): number =>
      (Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) * 1024) / 1e6
    return { rssMb: mb('VmRSS'), peakMb: mb('VmHWM') }
  }

  /** The peak of the memory begins anew (proc(5), clear_refs 5). */
  resetPeak(): void {
    writeFileSync(`/proc/${this.pid}/clear_refs`, '5')
  }

  #said(text: string): void {
    const event = /"event":"(\w+)"/.exec(text)?.[1] ?? ''
    this.log.push({ event, readAtMs: Date.now(), text })
    if (this.log.length > LINES_MAX) this.log.splice(0, LINES_MAX / 2)
  }
}
