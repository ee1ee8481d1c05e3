// Runs a connector: start, reload, drain.
import { join } from 'node:path'
import type { ModelCard } from '@inferwire/protocol'
import { createMetrics, startAdminServer, type AdminServer } from './admin/index.ts'
import { compose, type Composition } from './compose.ts'
import { ConfigError, laneNames, type ConnectorConfig } from './config/index.ts'
import { ModelRegistry } from './model-registry.ts'
import { openJournal, stateFolderOf, type Journal } from './poison/index.ts'
import { Safekeeping } from './safekeeping/index.ts'
import { describeError } from './session-news.ts'
import { StateInUse, StateLock } from './state-lock.ts'
import type { Delivery } from './step.ts'
import { createLog, type Log } from './telemetry/index.ts'
import { VERSION } from './version.ts'

/** What a connector is started with in addition to its configuration. */
export interface ConnectorOptions {
  /** @default a logger as `config.log` says, on standard error */
  readonly log?: Log
}

/** A running connector. */
export interface Connector {
  /** Resolves when it is connected and subscribed for the first time. */
  readonly ready: Promise<void>
  /** Base URL of `/livez`, `/readyz` and `/metrics`; undefined when `admin.enabled` is false. */
  readonly adminUrl: string | undefined
  /** The cards of the models that can be asked now. */
  readonly cards: readonly ModelCard[]
  /**
   * Takes over models and policy of a new configuration; everything else needs a restart, and the log says so.
   * @throws ConfigError when a file of a model cannot be read; then everything stays as it was.
   */
  reload(config: ConnectorConfig): void
  /**
   * Drains: takes nothing new, finishes, answers, acknowledges, publishes `draining` and then `offline`.
   * Resolves with false when `drain.timeoutMs` was not enough; what was not answered is redelivered after the restart.
   */
  stop(): Promise<boolean>
}

// How long the first connection waits for model servers that do not answer.
const MODELS_TIMEOUT_MS = 3_000
// How long the main session waits for lanes, whose requests it would otherwise serve.
const LANES_TIMEOUT_MS = 3_000
// How long a status message may hold up the drain.
const GOODBYE_TIMEOUT_MS = 1_000

/**
 * Starts a connector. It connects in the background, and again whenever the connection is lost.
 * @throws when the admin port is taken; ConfigError when a file of a model cannot be read, or another process on this
 * machine is a connector with the same name.
 */
export async function startConnector(
  config: ConnectorConfig,
  options: ConnectorOptions = {},
): Promise<Connector> {
  const log = options.log ?? createLog(config.log)
  const connector = new RunningConnector(config, log)
  await connector.start()
  return connector
}

class RunningConnector implements Connector {
  readonly ready: Promise<void>
  #config: ConnectorConfig
  readonly #log: Log
  readonly #rooms: Composition
  readonly #registry: ModelRegistry
  readonly #safekeeping: Safekeeping
  #kept: readonly Delivery[] = []
  #admin: AdminServer | undefined
  #journal: Journal | undefined
  #lock: StateLock | undefined
  #becomeReady: (() => void) | undefined
  #stopping: Promise<boolean> | undefined

  constructor(config: ConnectorConfig, log: Log) {
    this.#config = config
    this.#log = log
    this.ready = new Promise((resolve) => (this.#becomeReady = resolve))
    this.#safekeeping = openSafekeeping(config, log)
    this.#rooms = compose({
      config,
      log,
      cards: () => this.#registry.cards,
      notReady: () => this.#registry.notReady,
      requestBytesMax: () => this.#registry.requestBytesMax,
      keeper: (delivery) => this.#safekeeping.keep(delivery),
      ready: () => this.#isReady(),
    })
    this.#registry = new ModelRegistry({
      ...this.#rooms,
      log,
      cardChanged: (name, card) => this.#rooms.presence.cardChanged(name, card),
    })
  }

  get adminUrl(): string | undefined {
    return this.#admin?.url
  }

  get cards(): readonly ModelCard[] {
    return this.#registry.cards
  }

  async start(): Promise<void> {
    const { admin, models } = this.#config
    this.#lock = await lockState(this.#config)
    try {
      if (admin.enabled) this.#admin = await this.#startAdmin(admin.host, admin.port)
      this.#registry.update(models)
    } catch (error) {
      await this.#admin?.close()
      this.#lock?.release()
      throw error
    }
    this.#beginWatch()
    // Before any session: what this process keeps is no business of the last one.
    this.#kept = this.#safekeeping.kept()
    void this.#connect()
  }

  // The broker hands over at once what waited for us: it must meet models that can be asked, and lanes that are open.
  async #connect(): Promise<void> {
    const { lanes, session } = this.#rooms
    await within(MODELS_TIMEOUT_MS, this.#registry.allExposed())
    if (this.#stopping === undefined) await within(LANES_TIMEOUT_MS, lanes.start())
    if (this.#stopping === undefined) session.start()
  }

  #isReady(): void {
    this.#becomeReady?.()
    const kept = this.#kept
    if (kept.length === 0 || this.#stopping !== undefined) return
    this.#kept = []
    this.#log.warn(
      { event: 'kept_requests_taken', requests: kept.length },
      `${kept.length} requests of the last process were in safe keeping and are executed again.`,
    )
    for (const delivery of kept) this.#rooms.pipeline.handle(delivery)
  }

  #beginWatch(): void {
    this.#journal = openJournal(this.#config, this.#log)
    if (this.#journal?.wasUnclean !== true) return
    this.#log.warn(
      { event: 'suspicion_began', suspects: this.#journal.attempts.size },
      'The last process did not shut down cleanly: redelivered requests are watched for a while.',
    )
    this.#rooms.poison.begin(this.#journal, () =>
      this.#log.info({ event: 'suspicion_ended' }, 'No request is suspected any more.'),
    )
  }

  reload(config: ConnectorConfig): void {
    this.#registry.update(config.models)
    const restart = needsRestart(this.#config, config)
    if (restart.length > 0) {
      this.#log.warn(
        { event: 'reload_incomplete', keys: restart },
        `Changed, but only used after a restart: ${restart.join(', ')}.`,
      )
    }
    this.#config = { ...this.#config, models: config.models, policy: config.policy }
    this.#rooms.policy.update(config.policy?.allow, config.policy?.showForbidden)
    this.#rooms.lanes.update(laneNames(config))
    this.#log.info(
      { event: 'config_reloaded', models: Object.keys(config.models).length },
      'The configuration was reloaded.',
    )
  }

  stop(): Promise<boolean> {
    this.#stopping ??= this.#drain()
    return this.#stopping
  }

  async #drain(): Promise<boolean> {
    const { pipeline, presence, session, lanes, poison } = this.#rooms
    const { timeoutMs } = this.#config.drain
    this.#journal?.ending()
    this.#log.info(
      { event: 'draining', inFlight: pipeline.inFlight },
      'Draining: finishing the requests under way.',
    )
    await within(GOODBYE_TIMEOUT_MS, presence.announce('draining'))
    await within(GOODBYE_TIMEOUT_MS, Promise.all([session.stopTaking(), lanes.stopTaking()]))
    pipeline.stopTaking()
    const isDone = await within(timeoutMs, pipeline.idle())
    if (!isDone) {
      this.#log.warn(
        { event: 'drain_incomplete', inFlight: pipeline.inFlight },
        `Not finished within drain.timeoutMs (${timeoutMs}); the broker delivers the rest again after the restart.`,
      )
    }
    await within(GOODBYE_TIMEOUT_MS, presence.announce('offline'))
    await Promise.all([session.close(), lanes.close()])
    await this.#registry.close()
    await this.#admin?.close()
    poison.stop()
    this.#journal?.close()
    this.#lock?.release()
    this.#log.info({ event: 'stopped' }, 'Stopped.')
    return isDone
  }

  #startAdmin(host: string, port: number): Promise<AdminServer> {
    const { telemetry, session, lanes, budget, duplicates, pipeline } = this.#rooms
    const metrics = createMetrics(telemetry, () => ({
      version: VERSION,
      inFlight: pipeline.inFlight,
      unacknowledged: session.unacknowledged + lanes.unacknowledged,
      unpublished: session.unpublished,
      bytesInFlight: budget.bytes,
      replyCacheBytes: duplicates.bytes,
      gates: this.#registry.gates.map(({ model, gate }) => ({
        model,
        running: gate.running,
        waiting: gate.waiting,
      })),
    }))
    return startAdminServer(host, port, { missing: () => this.#missing(), metrics })
  }

  #missing(): string[] {
    if (this.#stopping !== undefined) return ['draining']
    const { session, lastError } = this.#rooms
    if (session.isReady) return []
    const error = lastError()
    const reason = error === undefined ? '' : `: ${describeError(error)}`
    return [`no session with ${this.#config.broker.url}${reason}`]
  }
}

// Without the journal the folder says nothing about the process that used it last.
async function lockState(config: ConnectorConfig): Promise<StateLock | undefined> {
  if (!config.poison.enabled) return undefined
  try {
    return await StateLock.take(stateFolderOf(config))
  } catch (error) {
    if (!(error instanceof StateInUse)) throw error
    const message = `another connector with the client identifier "${config.broker.clientId}" runs on this machine (process ${error.pid}). Give this one its own name (--name).`
    throw new ConfigError([{ path: 'name', source: 'configuration', message }])
  }
}

function openSafekeeping(config: ConnectorConfig, log: Log): Safekeeping {
  const folder = join(stateFolderOf(config), 'kept')
  return new Safekeeping(folder, {
    refused: (reason) =>
      log.warn(
        { event: 'safekeeping_refused', folder, detail: reason },
        `A long request cannot be put in safe keeping in "${folder}": ${reason}. Set poison.stateFolder to a folder that can be written.`,
      ),
    unreadable: (path, reason) =>
      log.error(
        { event: 'safekeeping_unreadable', path, detail: reason },
        `"${path}" is not a request in safe keeping, or cannot be removed: ${reason}. Look into it, then delete it.`,
      ),
  })
}

// Whether the work is done in time; the timer does not keep the process alive.
async function within(timeoutMs: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, false)
  })
  const isDone = await Promise.race([work.then(() => true), late])
  clearTimeout(timer)
  return isDone
}

function needsRestart(before: ConnectorConfig, after: ConnectorConfig): string[] {
  const keys = ['name', 'root', 'broker', 'limits', 'poison', 'admin', 'log', 'drain'] as const
  return keys.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]))
}
