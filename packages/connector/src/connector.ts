// Puts the rooms together and runs them: start, reload, drain.
import { CONTRACT_VERSION, TopicSpace, type ConnectorStatus, type ModelCard } from '@inferwire/protocol'
import { ByteBudget, Clients, Policy } from './admission/index.ts'
import { createMetrics, startAdminServer, type AdminServer } from './admin/index.ts'
import type { ConnectorConfig } from './config/index.ts'
import { Duplicates } from './duplicates/index.ts'
import { ModelRegistry } from './model-registry.ts'
import { Pipeline, type PipelineParts } from './pipeline.ts'
import { defaultStateFolder, Journal, Suspicion } from './poison/index.ts'
import { RetainedPublisher } from './presence/index.ts'
import { ModelTable } from './route/index.ts'
import { MqttSession, type OutgoingMessage, type SessionListener } from './session/index.ts'
import { readPassword } from './config/index.ts'
import { createLog, ProblemLog, Telemetry, type Log } from './telemetry/index.ts'
import { VERSION } from './version.ts'

/** What a connector is started with beside its configuration. */
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
   * Drains: takes nothing new, finishes, answers, acknowledges, says `draining` and then `offline`.
   * Resolves with false when `drain.timeoutMs` was not enough; what was not answered comes again after the restart.
   */
  stop(): Promise<boolean>
}

// Topic and properties come on top of the largest body that a model takes.
const FRAME_HEADER_BYTES = 256 * 1024
// How long the first connection waits for model servers that do not answer.
const MODELS_TIMEOUT_MS = 3_000
// How long a status message may hold up the drain.
const GOODBYE_TIMEOUT_MS = 1_000

/**
 * Starts a connector. It connects in the background, and again whenever the connection is lost.
 * @throws when the admin port is taken; ConfigError when a file of a model cannot be read.
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
  readonly #topics: TopicSpace
  readonly #telemetry = new Telemetry()
  readonly #budget: ByteBudget
  readonly #registry: ModelRegistry
  readonly #parts: PipelineParts
  readonly #pipeline: Pipeline
  readonly #session: MqttSession
  readonly #retained = new RetainedPublisher((topic, payload) => this.#sendRetained(topic, payload))
  #state: ConnectorStatus['state'] = 'online'
  #publishedStatus = ''
  #isStatusDue = false
  #admin: AdminServer | undefined
  #journal: Journal | undefined
  #becomeReady!: () => void
  #bornAtMs = 0
  #stopping: Promise<boolean> | undefined
  #lastError: Error | undefined

  constructor(config: ConnectorConfig, log: Log) {
    this.#config = config
    this.#log = log
    this.#topics = new TopicSpace(config.root)
    this.#budget = new ByteBudget(config.limits.bytesInFlightMax)
    this.ready = new Promise((resolve) => (this.#becomeReady = resolve))
    const table = new ModelTable()
    this.#parts = {
      topics: this.#topics,
      models: table,
      policy: new Policy(config.policy?.allow),
      publish: (reply) => this.#session.publish(reply),
      budget: this.#budget,
      clients: new Clients(config.limits.client),
      duplicates: new Duplicates(config.limits.duplicates),
      suspicion: undefined,
      deadLetterTopic: config.poison.deadLetterTopic,
      telemetry: this.#telemetry,
      problemLog: new ProblemLog(log),
      log,
    }
    this.#pipeline = new Pipeline(this.#parts)
    this.#registry = new ModelRegistry({
      topics: this.#topics,
      table,
      budget: this.#budget,
      telemetry: this.#telemetry,
      problemLog: this.#parts.problemLog,
      log,
      cardChanged: (name, card) => this.#cardChanged(name, card),
    })
    this.#session = this.#createSession()
  }

  get adminUrl(): string | undefined {
    return this.#admin?.url
  }

  get cards(): readonly ModelCard[] {
    return this.#registry.cards
  }

  async start(): Promise<void> {
    const { admin, models } = this.#config
    if (admin.enabled) this.#admin = await this.#startAdmin(admin.host, admin.port)
    try {
      this.#registry.update(models)
    } catch (error) {
      await this.#admin?.close()
      throw error
    }
    this.#openJournal()
    // The broker hands over what waited for us at once: it must find models that can be asked, not open questions.
    void within(MODELS_TIMEOUT_MS, this.#registry.allExposed()).then(() => {
      if (this.#stopping === undefined) this.#session.start()
    })
  }

  // Without a journal everything else works: a read-only home must not keep a connector from starting.
  #openJournal(): void {
    const { poison, broker } = this.#config
    if (!poison.enabled) return
    const folder = poison.stateFolder ?? defaultStateFolder(broker.clientId, broker.url)
    const broken = (error: unknown): void =>
      this.#log.warn(
        { event: 'poison_journal_off', folder, detail: String(error) },
        `A request that ends the process cannot be found: the folder "${folder}" cannot be written. Set poison.stateFolder.`,
      )
    try {
      this.#journal = new Journal(folder, broken)
    } catch (error) {
      return broken(error)
    }
    if (!this.#journal.wasUnclean) return
    this.#log.warn(
      { event: 'suspicion_began', suspects: this.#journal.attempts.size },
      'The last process ended without saying goodbye: requests that come again are watched for a while.',
    )
    this.#parts.suspicion = new Suspicion(this.#journal, () => {
      this.#parts.suspicion = undefined
      this.#log.info({ event: 'suspicion_ended' }, 'No request is suspected any more.')
    })
  }

  reload(config: ConnectorConfig): void {
    const policy = new Policy(config.policy?.allow)
    this.#registry.update(config.models)
    const restart = needsRestart(this.#config, config)
    if (restart.length > 0) {
      this.#log.warn(
        { event: 'reload_incomplete', keys: restart },
        `Changed, but only used after a restart: ${restart.join(', ')}.`,
      )
    }
    this.#config = { ...this.#config, models: config.models, policy: config.policy }
    this.#parts.policy = policy
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
    const { timeoutMs } = this.#config.drain
    this.#journal?.ending()
    this.#log.info(
      { event: 'draining', inFlight: this.#telemetry.inFlight },
      'Draining: finishing what is under way.',
    )
    await this.#sayGoodbye('draining')
    await within(GOODBYE_TIMEOUT_MS, this.#session.stopTaking())
    const isDone = await within(timeoutMs, this.#pipeline.idle())
    if (!isDone) {
      this.#log.warn(
        { event: 'drain_incomplete', inFlight: this.#telemetry.inFlight },
        `Not finished within drain.timeoutMs (${timeoutMs}); the broker delivers the rest again after the restart.`,
      )
    }
    await this.#sayGoodbye('offline')
    await this.#session.close()
    await this.#registry.close()
    await this.#admin?.close()
    this.#parts.suspicion?.stop()
    this.#journal?.close()
    this.#log.info({ event: 'stopped' }, 'Stopped.')
    return isDone
  }

  // Without a connection the Will says it, and the next connection says how far we are.
  async #sayGoodbye(state: 'draining' | 'offline'): Promise<void> {
    this.#state = state
    if (this.#session.isReady) await within(GOODBYE_TIMEOUT_MS, this.#publishStatus())
  }

  #createSession(): MqttSession {
    const { broker, name } = this.#config
    const listener: SessionListener = {
      delivered: (delivery) => this.#pipeline.handle(delivery),
      ready: ({ limits, bornAtMs, isLost, filter }) => {
        this.#bornAtMs = bornAtMs
        this.#telemetry.isConnected = true
        this.#telemetry.connections += 1
        if (isLost) {
          this.#telemetry.sessionsLost += 1
          this.#log.error(
            { event: 'session_lost' },
            'The broker forgot the session: requests that it had queued are gone.',
          )
        }
        this.#log.info(
          {
            event: 'session_ready',
            broker: broker.url,
            filter,
            sessionPresent: limits.sessionPresent,
            receiveMaximum: limits.receiveMaximum,
          },
          `Connected to ${broker.url}, subscribed to ${filter}.`,
        )
        void this.#publishStatus()
        for (const card of this.#registry.cards) this.#publishCard(card.name, card)
        this.#parts.suspicion?.begin()
        this.#becomeReady()
      },
      unavailable: ({ error, retryInMs }) => {
        this.#telemetry.isConnected = false
        this.#lastError = error
        this.#log.warn(
          { event: 'session_unavailable', broker: broker.url, retryInMs },
          `No session with ${broker.url}: ${describe(error)}`,
        )
      },
    }
    return new MqttSession(
      {
        ...broker,
        password: () => readPassword(broker),
        filter: this.#topics.requestFilter,
        ownFilters: [this.#topics.cancelFilter],
        frameBytesMax: () => this.#registry.requestBytesMax + FRAME_HEADER_BYTES,
        will: (bornAtMs) => ({
          topic: this.#topics.status(name),
          payload: JSON.stringify(this.#status('offline', bornAtMs)),
        }),
      },
      listener,
    )
  }

  #startAdmin(host: string, port: number): Promise<AdminServer> {
    const metrics = createMetrics(this.#telemetry, () => ({
      version: VERSION,
      unacknowledged: this.#session.unacknowledged,
      unpublished: this.#session.unpublished,
      bytesInFlight: this.#budget.bytes,
      bytesRemembered: this.#parts.duplicates.bytes,
      gates: this.#registry.gates.map(({ model, gate }) => ({
        model,
        running: gate.running,
        waiting: gate.waiting,
      })),
    }))
    return startAdminServer(host, port, {
      missing: () => this.#missing(),
      metrics,
    })
  }

  #missing(): string[] {
    if (this.#stopping !== undefined) return ['draining']
    if (this.#session.isReady) return []
    const reason = this.#lastError === undefined ? '' : `: ${describe(this.#lastError)}`
    return [`no session with ${this.#config.broker.url}${reason}`]
  }

  // The next connection publishes all cards anyway, but knows nothing of those that are gone.
  #cardChanged(name: string, card: ModelCard | undefined): void {
    if (card === undefined || this.#session.isReady) this.#publishCard(name, card)
    // Several cards may change in one turn; the status tells of all of them at once.
    if (this.#isStatusDue) return
    this.#isStatusDue = true
    setImmediate(() => this.#publishChangedStatus())
  }

  #publishChangedStatus(): void {
    this.#isStatusDue = false
    const isCurrent = JSON.stringify(this.#status(this.#state, this.#bornAtMs)) === this.#publishedStatus
    if (this.#session.isReady && !isCurrent) void this.#publishStatus()
  }

  // An empty retained message takes the old one away (MQTT 5 §3.3.1.3).
  #publishCard(name: string, card: ModelCard | undefined): void {
    void this.#retained.publish(this.#topics.card(name), card === undefined ? '' : JSON.stringify(card))
  }

  #publishStatus(): Promise<void> {
    this.#publishedStatus = JSON.stringify(this.#status(this.#state, this.#bornAtMs))
    return this.#retained.publish(this.#topics.status(this.#config.name), this.#publishedStatus)
  }

  #status(state: ConnectorStatus['state'], bornAtMs: number): ConnectorStatus {
    const { name } = this.#config
    const models = this.#registry.cards.map((card) => card.name)
    return {
      contract: CONTRACT_VERSION,
      connector: name,
      state,
      version: VERSION,
      timestamp: bornAtMs,
      models,
    }
  }

  async #sendRetained(topic: string, payload: string): Promise<void> {
    const message: OutgoingMessage = {
      topic,
      payload: new TextEncoder().encode(payload),
      qos: 1,
      retain: true,
      properties: { contentType: 'application/json', payloadFormatIndicator: 1 },
    }
    const result = await this.#session.publish(message)
    if (result.kind === 'refused') {
      this.#log.warn(
        { event: 'publish_refused', topic, reasonCode: result.reasonCode },
        `The broker refused a publish to "${topic}" (0x${result.reasonCode.toString(16)}): let the user of the connector write it.`,
      )
    }
  }
}

// Whether the work is done in time; the timer does not keep the process alive.
async function within(timeoutMs: number, work: Promise<void>): Promise<boolean> {
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

// Node's connection errors often have their text in the parts (AggregateError of several addresses).
function describe(error: Error): string {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return error.errors
      .map((part: unknown) => (part instanceof Error ? part.message : String(part)))
      .join('; ')
  }
  return error.message
}
