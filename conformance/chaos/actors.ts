// Who is killed: the broker and the connector, each a process that comes back on the same data, port and name.
import { spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConfigInput } from '@inferwire/connector'
import { INFERWIRE } from '../fixtures/inferwire.ts'
import { startMosquitto, type Mosquitto } from '../fixtures/mosquitto.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'
import { spawnTied } from '../fixtures/tied-process.ts'
import { CLIENT_HEADER, MODELS } from './request-shape.ts'

/** Name of the connector in its status topic. */
export const CONNECTOR_NAME = 'chaos'

/** How long a request that is not answered may hold up the PUBACKs of later ones, in milliseconds: the default. */
export const ACK_HOLD_MAX_MS = 2000

const PLANTED = new URL('planted/register.mjs', import.meta.url).href
const LOG_LINES_KEPT = 400
const READY_TIMEOUT_MS = 30_000

/**
 * Saves after every change: what Mosquitto 2.0 can do against its own death. Some acknowledged messages are lost with a
 * kill all the same.
 */
export const BROKER_SETTINGS: readonly string[] = [
  'persistence true',
  'autosave_on_changes true',
  'autosave_interval 1',
  'max_queued_messages 0',
  'max_queued_bytes 0',
  // The whole database is written again for nearly every packet: what is in it must stay small, or the broker crawls.
  'max_inflight_messages 300',
]

/** See BROKER_SETTINGS. */
export function startBroker(): Promise<Mosquitto> {
  return startMosquitto({
    isInMemory: true,
    config: [...BROKER_SETTINGS.slice(1), 'log_type error', 'log_type warning'],
  })
}

/** `mosquitto version 2.0.11`: of the program that runs. Linux. */
export function versionOf(broker: Mosquitto): string {
  const { stdout } = spawnSync(readlinkSync(`/proc/${broker.pid}/exe`), ['-h'], { encoding: 'utf8' })
  return /^mosquitto version \S+/m.exec(stdout)?.[0] ?? 'mosquitto of an unknown version'
}

/** How to run the connector. */
export interface ConnectorActorOptions {
  /** Name of a planted bug. */
  readonly plant?: string | undefined
  /** Whether it looks for a request that kills it, after an unclean end: then what comes again runs one by one. */
  readonly isSuspicious: boolean
}

/** The built `inferwire connect`, honest or with a planted bug. */
export class ConnectorActor {
  readonly #configFile: string
  readonly #plant: string | undefined
  readonly #log: string[] = []
  #child: ChildProcess | undefined
  #exit: Promise<number | null> = Promise.resolve(0)
  #isExpectedToEnd = false
  #whenReady: (() => void) | undefined
  /** Sessions that the broker had forgotten. */
  sessionsLost = 0
  /** Ends that nobody asked for, as they were told. */
  readonly deaths: string[] = []
  starts = 0
  /** Its session was ready since it was started last. */
  wasReady = false

  constructor(brokerUrl: string, upstreamPort: number, options: ConnectorActorOptions) {
    this.#plant = options.plant
    const folder = tempFolder('chaos')
    this.#configFile = join(folder, 'connector.json')
    writeFileSync(
      this.#configFile,
      JSON.stringify(
        configOf(brokerUrl, upstreamPort, { enabled: options.isSuspicious, stateFolder: folder }),
      ),
    )
  }

  /** Runs it; does not wait until it is ready. */
  start(): void {
    const env = { ...process.env, CHAOS_PLANT: this.#plant ?? '' }
    const imports = this.#plant === undefined ? [] : ['--import', PLANTED]
    const child = spawnTied(
      process.execPath,
      [...imports, INFERWIRE, 'connect', '--config', this.#configFile],
      {
        stdio: ['ignore', 'ignore', 'pipe'],
        env,
      },
    )
    this.starts += 1
    this.wasReady = false
    this.#isExpectedToEnd = false
    this.#child = child
    child.stderr!.setEncoding('utf8')
    let rest = ''
    child.stderr!.on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      for (const line of lines) this.#said(line)
    })
    this.#exit = once(child, 'exit').then(([code, signal]) => {
      if (!this.#isExpectedToEnd)
        this.deaths.push(`It ended with ${code ?? signal}. Its last words:\n${this.lastWords}`)
      return code as number | null
    })
  }

  /** Runs it, and resolves when its session is ready. */
  async startReady(): Promise<void> {
    const ready = new Promise<void>((resolve) => (this.#whenReady = resolve))
    this.start()
    const tooLate = new Promise<never>((_, reject) => {
      setTimeout(
        () =>
          reject(new Error(`The connector was not ready within ${READY_TIMEOUT_MS} ms:\n${this.lastWords}`)),
        READY_TIMEOUT_MS,
      ).unref()
    })
    const gone = this.#exit.then((code) => {
      throw new Error(`The connector ended with ${code} before it was ready:\n${this.lastWords}`)
    })
    gone.catch(() => {})
    await Promise.race([ready, tooLate, gone])
  }

  get pid(): number | undefined {
    return this.#child?.exitCode === null && this.#child.signalCode === null ? this.#child.pid : undefined
  }

  get lastWords(): string {
    return this.#log.slice(-12).join('\n')
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name)
  }

  /** Resolves with the exit code; null after a signal. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    this.#isExpectedToEnd = true
    this.#child?.kill(signal)
    return await this.#exit
  }

  #said(line: string): void {
    this.#log.push(line)
    if (this.#log.length > LOG_LINES_KEPT * 2) this.#log.splice(0, LOG_LINES_KEPT)
    if (line.includes('"session_lost"')) this.sessionsLost += 1
    if (line.includes('"session_ready"')) {
      this.wasReady = true
      this.#whenReady?.()
    }
  }
}

function configOf(brokerUrl: string, upstreamPort: number, poison: ConfigInput['poison']): ConfigInput {
  return {
    name: CONNECTOR_NAME,
    broker: {
      url: brokerUrl,
      // Short, so that freezes outlast it now and then.
      keepAliveSeconds: 2,
      connectTimeoutMs: 3000,
      sessionExpirySeconds: 3600,
      reconnect: { minMs: 50, maxMs: 500 },
    },
    models: Object.fromEntries(
      MODELS.map(({ name, protocol }) => [
        name,
        {
          url: `http://127.0.0.1:${upstreamPort}`,
          protocolVersion: protocol,
          // Longer than any outage, and than the time in which a restarted connector runs suspects one by one.
          timeoutMs: 12_000,
          passHeaders: [CLIENT_HEADER],
        },
      ]),
    ),
    poison,
    admin: { enabled: false },
    log: { level: 'info', format: 'json' },
    drain: { timeoutMs: 6000 },
  }
}
