// Runs the built connector as a process: configures, starts, signals, restarts and measures it.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConfigInput } from '@inferwire/connector'
import { freePort } from '../fixtures/free-port.ts'
import { INFERWIRE } from '../fixtures/inferwire.ts'
import { cleanEnvironment, readLines, spawnTied } from '../fixtures/processes.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

/** Options of the process, in addition to the connector's configuration. */
export interface ProcessOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Arguments of Node.js itself. */
  readonly nodeArguments?: readonly string[]
  /** Program and arguments to put before the command. The program must `exec` the command. */
  readonly prefix?: readonly string[]
}

/** A line of the connector's log. */
export interface LogLine {
  readonly event: string
  /** When the harness read the line, in milliseconds since the epoch. */
  readonly readAtMs: number
  readonly text: string
}

const READY_TIMEOUT_MS = 30_000
// A connector that logs endlessly must not exhaust the harness's memory.
const LINES_MAX = 20_000

/** One connector, which can be restarted with the same name and configuration. */
export class ConnectorProcess {
  /** The latest log lines of all of its processes. */
  readonly log: LogLine[] = []
  readonly adminPort: number
  readonly #configFile: string
  readonly #options: ProcessOptions
  readonly #counts = new Map<string, number>()
  #child: ChildProcess | undefined
  #exit: Promise<number | null> = Promise.resolve(0)
  #isExpectedToEnd = true
  #whenReady: (() => void) | undefined
  /** When the process was last started, on the monotonic clock. */
  startedAtMs = 0
  /** Whether the session has been ready since the last start. */
  wasReady = false
  /** Descriptions of exits that the harness did not cause. */
  readonly deaths: string[] = []

  private constructor(configFile: string, adminPort: number, options: ProcessOptions) {
    this.#configFile = configFile
    this.adminPort = adminPort
    this.#options = options
  }

  /** Writes the configuration; does not start the process. */
  static async create(config: ConfigInput, options: ProcessOptions = {}): Promise<ConnectorProcess> {
    const folder = tempFolder('connector')
    const adminPort = await freePort()
    const configFile = join(folder, 'connector.json')
    const whole = {
      drain: { timeoutMs: 6000 },
      ...config,
      poison: { stateFolder: join(folder, 'state'), ...config.poison },
      admin: { port: adminPort, ...config.admin },
      log: { level: 'info', format: 'json', ...config.log },
    }
    writeFileSync(configFile, JSON.stringify(whole))
    return new ConnectorProcess(configFile, adminPort, options)
  }

  /** Starts the process; does not wait until it is ready. */
  start(): void {
    const { env, nodeArguments = [], prefix = [] } = this.#options
    const command = [...prefix, process.execPath, ...nodeArguments, INFERWIRE, 'connect', '--config']
    const [program, ...rest] = [...command, this.#configFile]
    const child = spawnTied(program!, rest, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...cleanEnvironment(), ...env },
    })
    this.#child = child
    this.startedAtMs = performance.now()
    this.wasReady = false
    this.#isExpectedToEnd = false
    readLines(child, (line) => this.#logged(line))
    this.#exit = once(child, 'exit').then(([code, signal]) => {
      if (!this.#isExpectedToEnd)
        this.deaths.push(`Process exit: ${String(code ?? signal)}. Last log lines:\n${this.lastLines}`)
      return code as number | null
    })
  }

  /** Starts the process; resolves with the time until its session was ready, in milliseconds. */
  async startReady(): Promise<number> {
    const startedAtMs = performance.now()
    const ready = new Promise<string>((resolve) => (this.#whenReady = () => resolve('')))
    this.start()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(`was not ready within ${READY_TIMEOUT_MS} ms`), READY_TIMEOUT_MS)
    })
    const ended = this.#exit.then((code) => `ended with ${String(code)} before it was ready`)
    const failure = await Promise.race([ready, late, ended])
    clearTimeout(timer)
    if (failure !== '') throw new Error(`The connector ${failure}:\n${this.lastLines}`)
    return performance.now() - startedAtMs
  }

  /** Process id; undefined while the process does not run. */
  get pid(): number | undefined {
    return this.isRunning ? this.#child!.pid : undefined
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name)
  }

  /** Sends the signal; resolves with the exit code, which is null if the signal killed the process. */
  async end(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<number | null> {
    this.#isExpectedToEnd = true
    this.#child?.kill(signal)
    return await this.#exit
  }

  /** Resolves when the process has exited by itself; this exit does not count as unexpected. */
  async ended(): Promise<void> {
    this.#isExpectedToEnd = true
    await this.#exit
  }

  /** Returns how often the event was logged since the first start. */
  count(event: string): number {
    return this.#counts.get(event) ?? 0
  }

  lines(event: string): LogLine[] {
    return this.log.filter((line) => line.event === event)
  }

  get lastLines(): string {
    return this.log
      .slice(-12)
      .map(({ text }) => text)
      .join('\n')
  }

  /** Returns the sum of a metric over the label sets that contain the text `labels`. */
  async metric(name: string, labels = ''): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.adminPort}/metrics`)
    const lines = (await response.text()).split('\n')
    return lines
      .filter((line) => /^[\w]+/.exec(line)?.[0] === name && line.includes(labels))
      .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  }

  /** Returns the resident memory, and its peak since the start or `resetPeak`, in MB (10^6 bytes). Linux only. */
  memory(): { readonly rssMb: number; readonly peakMb: number } {
    const text = readFileSync(`/proc/${this.#child!.pid}/status`, 'utf8')
    const mb = (field: string): number =>
      (Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) * 1024) / 1e6
    return { rssMb: mb('VmRSS'), peakMb: mb('VmHWM') }
  }

  /** Resets the peak to the current value (proc(5): clear_refs 5). */
  resetPeak(): void {
    writeFileSync(`/proc/${this.#child!.pid}/clear_refs`, '5')
  }

  #logged(text: string): void {
    const event = /"event":"(\w+)"/.exec(text)?.[1] ?? ''
    this.log.push({ event, readAtMs: Date.now(), text })
    if (this.log.length > LINES_MAX) this.log.splice(0, LINES_MAX / 2)
    this.#counts.set(event, this.count(event) + 1)
    if (event !== 'session_ready') return
    this.wasReady = true
    this.#whenReady?.()
  }
}
