// Starts, reloads and drains a connector.
import { join } from 'node:path'
import type { ModelCard } from '@inferwire/protocol'
import { createMetrics, startAdminServer, type AdminServer } from './admin/index.ts'
import { compose, type Composition } from './compose.ts'
import { configWarnings } from './config-warnings.ts'
import { laneNames, type ConnectorConfig } from './config/index.ts'
import { Discovery } from './discovery/index.ts'
import { ModelRegistry } from './model-registry.ts'
import { openJournal, stateFolderOf, type Journal } from './poison/index.ts'
import { Safekeeping } from './safekeeping/index.ts'
import { describeError } from './session-news.ts'
import { StateInUse, StateLock } from './state-lock.ts'
import type { Delivery } from './step.ts'
import { createLog, type Log } from './telemetry/index.ts'
import { VERSION } from './version.ts'

/** Options of `startConnector`, in addition to the configuration. */
export interface ConnectorOptions {
  /** @default a logger that is configured by `config.log` and writes to standard error */
  readonly log?: Log
}

/** A running connector. */
export interface Connector {
  /** Resolves when the session is connected and subscribed for the first time. */
  readonly ready: Promise<void>
  /** Base URL of `/livez`, `/readyz` and `/metrics`; undefined if `admin.enabled` is false. */
  readonly adminUrl: string | undefined
  /** The cards of the exposed models. */
  readonly cards: readonly ModelCard[]
  /**
   * Applies the models, the credentials and the policy of a new configuration. Other changes need a restart; the log lists them.
   * @throws ConfigError if a model's file cannot be read; in that case nothing changes.
   */
  reload(config: ConnectorConfig): void
  /**
   * Drains: stops accepting requests, completes the requests in flight, and publishes `draining` and `offline`. Streams
   * that do not end in time are ended with `stream_interrupted`.
   * Resolves with false if `drain.timeoutMs` was exceeded; the broker redelivers unanswered requests after the restart.
   */
  stop(): Promise<boolean>
}

// Maximum time that the first connection waits for model servers.
const MODELS_TIMEOUT_MS = 3_000
// Maximum time that the main session waits for lanes; until a lane is connected, the main session serves its model.
const LANES_TIMEOUT_MS = 3_000
// Maximum time that a status message may delay the drain.
const ANNOUNCE_TIMEOUT_MS = 1_000
// Time at the end of a drain in which the last messages of interrupted streams are published.
const STREAM_END_MS = 1_000

/**
 * Starts a connector. It connects in the background, and reconnects whenever the connection is lost.
 * @throws if the admin port is in use; ConfigError if a model's file cannot be read; StateInUse if another connector
 * with the same client identifier runs on this machine.
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
  #discovery: Discovery | undefined
  #journal: Journal | undefined
  #lock: StateLock | undefined
  #becomeReady: (() => void) | undefined
  #stopping: Promise<boolean> | undefined
  /** Whether the cluster was read once, or there is no discovery. */
  #isFound = false
  #phase: 'models' | 'lanes' | 'session' = 'models'

  constructor(config: ConnectorConfig, log: Log) {
    this.#config = config
    this.#log = log
    this.ready = new Promise((resolve) => (this.#becomeReady = resolve))
    this.#safekeeping = openSafekeeping(config, log)
    this.#rooms = compose({
      config,
      log,
      models: () => this.#registry,
      discovery: () => this.#discovery?.status,
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
    return [...this.#registry.cards.values()]
  }

  async start(): Promise<void> {
    const { admin, models, credentials } = this.#config
    this.#lock = await lockState(this.#config)
    try {
      if (admin.enabled) this.#admin = await this.#startAdmin(admin.host, admin.port)
      this.#registry.update(models, credentials)
      this.#discovery = this.#discover()
    } catch (error) {
      await this.#registry.close()
      await this.#admin?.close()
      this.#lock?.release()
      throw error
    }
    this.#warnAbout(this.#config)
    this.#beginWatch()
    // Stored requests are read before a session is open, so that they do not include requests that this process stores.
    this.#kept = this.#safekeeping.kept()
    void this.#connect()
  }

  #discover(): Discovery | undefined {
    if (!this.#config.discovery.enabled) return undefined
    const { presence, leftOverCards } = this.#rooms
    return new Discovery({
      config: this.#config,
      models: this.#registry,
      changed: () => presence.statusChanged(),
      known: () => leftOverCards?.known(),
      log: this.#log,
    })
  }

  #warnAbout(config: ConnectorConfig): void {
    for (const { path, message } of configWarnings(config)) {
      this.#log.warn({ event: 'config_warning', path }, `${path}: ${message}`)
    }
  }

  // The broker delivers queued requests immediately, so models must be exposed and lanes connected first.
  async #connect(): Promise<void> {
    const { lanes, session } = this.#rooms
    await within(MODELS_TIMEOUT_MS, this.#allExposed())
    this.#phase = 'lanes'
    if (this.#stopping === undefined) await within(LANES_TIMEOUT_MS, lanes.start())
    this.#phase = 'session'
    if (this.#stopping === undefined) session.start()
  }

  async #allExposed(): Promise<void> {
    await this.#discovery?.firstStatus()
    this.#isFound = true
    await this.#registry.allExposed()
  }

  #isReady(): void {
    this.#becomeReady?.()
    const kept = this.#kept
    if (kept.length === 0 || this.#stopping !== undefined) return
    this.#kept = []
    this.#log.warn(
      { event: 'kept_requests_taken', requests: kept.length },
      `${kept.length} requests that the previous process stored on disk are executed again.`,
    )
    for (const delivery of kept) this.#rooms.pipeline.handle(delivery)
  }

  #beginWatch(): void {
    this.#journal = openJournal(this.#config, this.#log)
    if (this.#journal?.wasUnclean !== true) return
    this.#log.warn(
      { event: 'suspicion_began', suspects: this.#journal.attempts.size },
      'The last process did not shut down cleanly; redelivered requests will be monitored for a while.',
    )
    this.#rooms.poison.begin(this.#journal, () =>
      this.#log.info({ event: 'suspicion_ended' }, 'Redelivered requests are no longer monitored.'),
    )
  }

  reload(config: ConnectorConfig): void {
    const { models, credentials, policy } = config
    this.#registry.update(models, credentials)
    this.#discovery?.reloaded(models)
    const restart = needsRestart(this.#config, config)
    if (restart.length > 0) {
      this.#log.warn(
        { event: 'reload_incomplete', keys: restart },
        `These changes take effect only after a restart: ${restart.join(', ')}.`,
      )
    }
    this.#config = { ...this.#config, models, credentials, policy }
    this.#rooms.policy.update(config.policy?.allow, config.policy?.showForbidden)
    this.#rooms.lanes.update(laneNames(config))
    this.#warnAbout(config)
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
      'Draining: finishing the requests in flight.',
    )
    if (this.#discovery !== undefined) await within(ANNOUNCE_TIMEOUT_MS, this.#discovery.stop())
    await within(ANNOUNCE_TIMEOUT_MS, presence.announce('draining'))
    await within(ANNOUNCE_TIMEOUT_MS, Promise.all([session.stopTaking(), lanes.stopTaking()]))
    pipeline.stopTaking()
    const isDone = await this.#finish(timeoutMs)
    if (!isDone) {
      this.#log.warn(
        { event: 'drain_incomplete', inFlight: pipeline.inFlight },
        `Requests are still in flight after drain.timeoutMs (${timeoutMs} ms); the broker redelivers them after the restart.`,
      )
    }
    await within(ANNOUNCE_TIMEOUT_MS, presence.announce('offline'))
    await Promise.all([session.close(), lanes.close()])
    await this.#registry.close()
    await this.#admin?.close()
    poison.stop()
    this.#journal?.close()
    this.#lock?.release()
    this.#log.info({ event: 'stopped' }, 'Stopped.')
    return isDone
  }

  // Returns whether all requests were answered in time. Streams end before the limit, so that their clients receive a
  // last message.
  async #finish(timeoutMs: number): Promise<boolean> {
    const { pipeline } = this.#rooms
    const streamEndMs = Math.min(STREAM_END_MS, timeoutMs / 2)
    if (await within(timeoutMs - streamEndMs, pipeline.idle())) return true
    pipeline.interruptStreams()
    return within(streamEndMs, pipeline.idle())
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
      discovery: this.#discovery?.figures,
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
    const { notReady } = this.#registry
    if (this.#phase === 'models' && !this.#isFound && this.#discovery !== undefined) {
      return [`waiting for the models of the cluster (up to ${MODELS_TIMEOUT_MS / 1_000} s)`]
    }
    if (this.#phase === 'models' && notReady.length > 0) {
      return [`waiting for models: ${notReady.join(', ')} (up to ${MODELS_TIMEOUT_MS / 1_000} s)`]
    }
    if (this.#phase === 'lanes') {
      return [`waiting for the lanes' sessions (up to ${LANES_TIMEOUT_MS / 1_000} s)`]
    }
    const error = lastError()
    const reason = error === undefined ? '' : `: ${describeError(error)}`
    return [`no session with ${this.#config.broker.url}${reason}`]
  }
}

// Locks the folder even with `poison.enabled: false`, because it also contains stored requests.
async function lockState(config: ConnectorConfig): Promise<StateLock | undefined> {
  try {
    return await StateLock.take(stateFolderOf(config))
  } catch (error) {
    if (!(error instanceof StateInUse)) throw error
    const { pid } = error
    const { clientId } = config.broker
    const message = `another connector with the client identifier "${clientId}" runs on this machine (process ${pid})`
    throw new StateInUse(pid, message)
  }
}

function openSafekeeping(config: ConnectorConfig, log: Log): Safekeeping {
  const folder = join(stateFolderOf(config), 'kept')
  return new Safekeeping(folder, {
    refused: (reason) =>
      log.warn(
        { event: 'safekeeping_refused', folder, detail: reason },
        `A long-running request cannot be stored in "${folder}": ${reason}. Set poison.stateFolder to a writable folder.`,
      ),
    unreadable: (path, reason) =>
      log.error(
        { event: 'safekeeping_unreadable', path, detail: reason },
        `The file "${path}" is not a valid stored request, or cannot be removed: ${reason}. Inspect it, then delete it.`,
      ),
  })
}

// Returns whether `work` finished within the timeout.
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
  const keys = ['name', 'root', 'broker', 'limits', 'discovery', 'poison', 'admin', 'log', 'drain'] as const
  return keys.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]))
}
