// Manages the exposed models: opens clients for their servers, queries metadata, and publishes and clears cards.
import { protocolOf, type ModelCard, type Problem, type TopicSpace } from '@inferwire/protocol'
import type { ByteBudget, ModelGate } from './admission/index.ts'
import {
  ConfigError,
  exposedNames,
  type ConfigMistake,
  type ModelConfig,
  type NamedCredentials,
} from './config/index.ts'
import { FactsWatch } from './endpoint/index.ts'
import { exposeModel, type Exposure, type ModelServer } from './expose-model.ts'
import { logExposed, whereToLook } from './model-news.ts'
import type { ModelTable } from './route/index.ts'
import { ServerOpener, type ModelOrigin } from './server-opener.ts'
import type { ModelFacts } from './step.ts'
import type { Log, ProblemLog, Telemetry } from './telemetry/index.ts'

/** Dependencies of `ModelRegistry`. */
export interface RegistryParts {
  readonly topics: TopicSpace
  readonly table: ModelTable
  readonly budget: ByteBudget
  readonly telemetry: Telemetry
  readonly problemLog: ProblemLog
  readonly log: Log
  /** Publishes a card, or clears it (`undefined`). Called whenever a card changes. */
  readonly cardChanged: (name: string, card: ModelCard | undefined) => void
}

interface Entry {
  readonly name: string
  readonly config: ModelConfig
  /** The configuration and its credential as JSON, to detect changes. */
  readonly fingerprint: string
  readonly server: ModelServer
  watch: FactsWatch | undefined
  /** Empty until the server has answered. */
  exposures: readonly Exposure[]
  /** The replaced entry, which serves requests until this one is exposed. */
  predecessor: Entry | undefined
  /** The last warning about the server, and the time (`performance.now()`) until which it is not repeated. */
  lastWarning: { readonly detail: string | undefined; readonly untilMs: number } | undefined
  /** Configured versions that the server does not have, with the logged reasons. */
  missingVersions: ReadonlyMap<string, string>
  /** Resolves when the entry is exposed, replaced or removed. */
  readonly settled: Promise<void>
  readonly settle: () => void
}

// Interval at which retired models are checked for remaining requests.
const IDLE_CHECK_MS = 100
// Minimum time before the same warning about a server is repeated.
const REPEAT_WARNING_MS = 30_000
// The codes for which the hint to check the InferenceService is useful.
const HINT_CODES: ReadonlySet<string> = new Set(['model_not_ready', 'upstream_unreachable'])

const NO_NAMES: ReadonlySet<string> = new Set()

/** The registry of exposed models. */
export class ModelRegistry {
  readonly #parts: RegistryParts
  readonly #entries = new Map<string, Entry>()
  /** The names in the last `update`. */
  #configured = NO_NAMES
  /** Replaced or removed entries with requests that are still running or queued. */
  readonly #retired = new Set<Entry>()
  /** Servers whose connections are not closed yet. */
  readonly #open = new Set<ModelServer>()
  readonly #opener: ServerOpener
  #idleCheck: NodeJS.Timeout | undefined
  #requestBytesMax = 0

  constructor(parts: RegistryParts) {
    this.#parts = parts
    this.#opener = new ServerOpener(parts)
  }

  /** The cards of all exposed models. */
  get cards(): ModelCard[] {
    return this.#serving.map(({ card }) => card)
  }

  /** The names of the configured models that are not exposed yet. */
  get notReady(): string[] {
    const waiting = [...this.#entries.values()].filter((entry) => serving(entry) === undefined)
    return waiting.flatMap(({ name, config }) => exposedNames(name, config))
  }

  /** The gates of all exposed models, each with the model's exposed name. */
  get gates(): { model: string; gate: ModelGate }[] {
    return this.#serving.map(({ model, gate }) => ({ model: model.name, gate }))
  }

  /**
   * The size of the largest body that any model accepts; 0 if there are no models. Cached, because it is read for every
   * packet.
   */
  get requestBytesMax(): number {
    return this.#requestBytesMax
  }

  get #serving(): Exposure[] {
    return [...this.#entries.values()].flatMap((entry) => serving(entry)?.exposures ?? [])
  }

  /**
   * Resolves when every configured model is exposed. A model whose server does not answer delays this until the model
   * is removed.
   */
  async allExposed(): Promise<void> {
    for (;;) {
      const waiting = [...this.#entries.values()].filter(({ exposures }) => exposures.length === 0)
      if (waiting.length === 0) return
      await Promise.all(waiting.map(({ settled }) => settled))
    }
  }

  /**
   * Exposes a discovered model, or replaces it if its configuration differs. Running and queued requests finish with the old
   * configuration, which also serves new requests until the new server has answered. If a configured file cannot be
   * read, changes nothing and returns the mistake.
   */
  set(name: string, config: ModelConfig): ConfigMistake | undefined {
    if (!this.#differs(name, config)) return undefined
    const opened = this.#openServer(name, config, 'discovered')
    if ('message' in opened) return opened
    this.#replace(name, config, opened)
    return undefined
  }

  /** Removes a model; its requests in flight finish. */
  remove(name: string): void {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    this.#entries.delete(name)
    this.#noteRequestBytesMax()
    this.#clearPending(entry)
    if (entry.predecessor !== undefined) this.#retire(entry.predecessor, NO_NAMES)
    this.#retire(entry, NO_NAMES)
    this.#parts.log.info({ event: 'model_removed', model: name }, `Model "${name}" is no longer exposed.`)
  }

  /**
   * Sets all models and credentials of a configuration, and removes models that only the previous configuration
   * contained. A model that was set by `set` is removed if it may not use its credential any more.
   * @throws ConfigError if a model's file cannot be read; in that case nothing has changed.
   */
  update(models: Readonly<Record<string, ModelConfig>>, credentials: NamedCredentials = {}): void {
    const before = this.#opener.credentials
    this.#opener.credentials = credentials
    const changed = Object.entries(models).filter(([name, config]) => this.#differs(name, config))
    const opened = changed.map(
      ([name, config]) => [name, config, this.#openServer(name, config, 'configured')] as const,
    )
    const mistakes = opened.flatMap(([, , result]) => ('message' in result ? [result] : []))
    if (mistakes.length > 0) {
      for (const [name, config, result] of opened) {
        if ('upstream' in result) this.#discard(name, config, result)
      }
      this.#opener.credentials = before
      throw new ConfigError(mistakes)
    }
    for (const name of this.#configured) if (!Object.hasOwn(models, name)) this.remove(name)
    this.#configured = new Set(Object.keys(models))
    for (const [name, config, result] of opened) if ('upstream' in result) this.#replace(name, config, result)
    this.#updateOthers()
    this.#opener.forgetUnused()
  }

  // The definition of a credential may have changed for models that are not in the configuration.
  #updateOthers(): void {
    for (const { name, config } of Array.from(this.#entries.values())) {
      const mistake = this.#configured.has(name) ? undefined : this.set(name, config)
      if (mistake === undefined) continue
      this.#parts.log.error(
        { event: 'model_refused', model: name, path: mistake.path },
        `Model "${name}" cannot be exposed any more: ${mistake.path}: ${mistake.message}`,
      )
      this.remove(name)
    }
  }

  /** Closes all connections to model servers at once. */
  async close(): Promise<void> {
    clearInterval(this.#idleCheck)
    this.#retired.clear()
    for (const { watch } of this.#entries.values()) watch?.stop()
    await Promise.all([...this.#open].map(({ upstream }) => upstream.destroy()))
  }

  #differs(name: string, config: ModelConfig): boolean {
    return this.#entries.get(name)?.fingerprint !== this.#opener.fingerprintOf(config)
  }

  #openServer(name: string, config: ModelConfig, origin: ModelOrigin): ModelServer | ConfigMistake {
    const opened = this.#opener.open(name, config, origin)
    if ('upstream' in opened) this.#open.add(opened)
    return opened
  }

  #discard(name: string, config: ModelConfig, server: ModelServer): void {
    this.#open.delete(server)
    void server.upstream.destroy()
    this.#forget(name, config)
  }

  #replace(name: string, config: ModelConfig, server: ModelServer): void {
    const previous = this.#entries.get(name)
    const entry: Entry = {
      name,
      config,
      fingerprint: this.#opener.fingerprintOf(config),
      server,
      watch: undefined,
      exposures: [],
      lastWarning: undefined,
      missingVersions: new Map(),
      predecessor: previous === undefined ? undefined : serving(previous),
      ...settledPromise(),
    }
    this.#entries.set(name, entry)
    this.#noteRequestBytesMax()
    // A previous entry that is still exposed is retired when the new entry is exposed. Any other previous entry is
    // retired now.
    if (previous !== undefined) {
      previous.watch?.stop()
      if (entry.predecessor === undefined) this.#clearPending(previous)
      if (previous !== entry.predecessor) this.#retire(previous, NO_NAMES)
    }
    this.#begin(entry)
  }

  // A model with a configured protocol version is exposed at once; its server is queried only for the card.
  #begin(entry: Entry): void {
    const { name, config, server } = entry
    const { protocolVersion } = config
    const known: ModelFacts | undefined =
      protocolVersion === undefined
        ? undefined
        : { protocolVersions: protocolOf(protocolVersion).dialects, unanswered: [], isAssumed: true }
    const watch = new FactsWatch({
      ask: (signal) => server.upstream.facts(signal),
      known,
      circuit: server.circuit,
      learned: (facts) => this.#expose(entry, facts),
      failed: (problem, retryInMs) => this.#stillUnknown(entry, problem, retryInMs),
    })
    entry.watch = watch
    if (known !== undefined) this.#expose(entry, known)
    else if (entry.predecessor === undefined) {
      this.#setPending(entry, `Model "${name}" is not ready: its server has not answered yet.`)
    }
    watch.start()
  }

  // A request for a pending model triggers a query of the model's server.
  #setPending(entry: Entry, reason: string): void {
    for (const name of exposedNames(entry.name, entry.config)) {
      this.#parts.table.setPending(name, reason, () => entry.watch?.wanted())
    }
  }

  #clearPending({ name, config }: Entry): void {
    for (const exposedName of exposedNames(name, config)) this.#parts.table.delete(exposedName)
  }

  #stillUnknown(entry: Entry, problem: Problem, retryInMs: number | undefined): void {
    const { name, config } = entry
    if (serving(entry) === undefined) {
      this.#setPending(entry, `Model "${name}" is not ready. ${problem.message}`)
    }
    const { code, detail, message, refusal } = problem
    const next = [
      entry.predecessor === undefined ? '' : ' The previous configuration remains in use for this model.',
      retryInMs === undefined
        ? ' The connector queries the server again after the next answered request.'
        : '',
      HINT_CODES.has(code) ? ` ${whereToLook(config, config.modelName ?? name)}` : '',
    ]
    // A repeated warning is logged at level debug: requests trigger queries, so a server that is loading or has no
    // metadata could fill the log.
    const nowMs = performance.now()
    const repeated = entry.lastWarning?.detail === detail ? entry.lastWarning : undefined
    const isQuiet = repeated !== undefined && (retryInMs === undefined || nowMs < repeated.untilMs)
    if (!isQuiet) entry.lastWarning = { detail, untilMs: nowMs + REPEAT_WARNING_MS }
    this.#parts.log[isQuiet ? 'debug' : 'warn'](
      // `retryWithinMs` is an upper bound, because a request triggers the next query sooner.
      {
        event: 'model_not_ready',
        model: name,
        url: config.url,
        code,
        detail,
        ...(refusal === undefined ? {} : { refusal: refusal.name, remedy: refusal.remedy }),
        retryWithinMs: retryInMs,
      },
      `${message}${next.join('')}`,
    )
  }

  #expose(entry: Entry, facts: ModelFacts): void {
    const { name, config, server } = entry
    this.#noteMissingVersions(entry, facts)
    const exposures = exposeModel({ ...this.#parts, name, config, server, facts, before: entry.exposures })
    const isFirst = entry.exposures.length === 0
    const known = new Set(entry.exposures.map(({ card }) => JSON.stringify(card)))
    const changed = exposures.filter(({ card }) => !known.has(JSON.stringify(card)))
    entry.exposures = exposures
    // The `openOperations` of a model may have changed even if its card has not.
    for (const { model } of exposures) this.#parts.table.set(model)
    if (changed.length === 0) return
    if (isFirst) this.#becomeServing(entry)
    logExposed(this.#parts.log, entry, isFirst, changed)
    for (const { card } of changed) this.#parts.cardChanged(card.name, card)
  }

  // Logs each reason once, because the facts are queried repeatedly.
  #noteMissingVersions(entry: Entry, { ofVersions }: ModelFacts): void {
    if (ofVersions === undefined) return
    const { name, config, missingVersions } = entry
    const missing = [...ofVersions].flatMap(([version, facts]) =>
      facts.state === 'missing' ? [[version, facts.reason] as const] : [],
    )
    entry.missingVersions = new Map(missing)
    for (const [version, detail] of missing) {
      if (missingVersions.get(version) === detail) continue
      this.#parts.log.warn(
        { event: 'version_missing', model: `${name}@${version}`, url: config.url, detail },
        `The server of model "${name}" has no metadata for version "${version}", so its card has no tensors. Load the version on the server, or remove it from models.*.versions.`,
      )
    }
  }

  #noteRequestBytesMax(): void {
    const entries = [...this.#entries.values()].flatMap((entry) => [entry, entry.predecessor ?? entry])
    this.#requestBytesMax = Math.max(0, ...entries.map(({ config }) => config.limits.requestBytesMax))
  }

  #becomeServing(entry: Entry): void {
    const { predecessor } = entry
    entry.server.circuit.begin()
    entry.settle()
    entry.predecessor = undefined
    this.#noteRequestBytesMax()
    if (predecessor !== undefined) this.#retire(predecessor, new Set(exposedNames(entry.name, entry.config)))
  }

  #retire(entry: Entry, keptNames: ReadonlySet<string>): void {
    entry.watch?.stop()
    entry.settle()
    entry.server.circuit.end()
    for (const { model } of entry.exposures) {
      if (keptNames.has(model.name)) continue
      this.#parts.table.delete(model.name)
      this.#parts.cardChanged(model.name, undefined)
    }
    this.#retired.add(entry)
    this.#closeIdle()
  }

  // A closed upstream accepts no further calls, so it is closed only when no request is running or queued any more.
  #closeIdle(): void {
    for (const entry of this.#retired) {
      if (entry.exposures.some(({ gate }) => gate.running + gate.waiting > 0)) continue
      this.#retired.delete(entry)
      const { server } = entry
      void server.upstream
        .close()
        .catch(() => {})
        .then(() => this.#open.delete(server))
      this.#forget(entry.name, entry.config)
    }
    if (this.#retired.size === 0) {
      clearInterval(this.#idleCheck)
      this.#idleCheck = undefined
    } else {
      this.#idleCheck ??= setInterval(() => this.#closeIdle(), IDLE_CHECK_MS).unref()
    }
  }

  // Drops the figures and log windows of names that no entry uses any more, so that they do not accumulate.
  #forget(name: string, config: ModelConfig): void {
    const predecessors = [...this.#entries.values()].flatMap(({ predecessor }) => predecessor ?? [])
    const owners = [...this.#entries.values(), ...predecessors, ...this.#retired]
    const owned = new Set(owners.flatMap((owner) => exposedNames(owner.name, owner.config)))
    for (const exposedName of exposedNames(name, config)) {
      if (owned.has(exposedName)) continue
      this.#parts.telemetry.forget(exposedName)
      this.#parts.problemLog.forget(exposedName)
    }
  }
}

// Returns the entry that currently serves the model of `entry`; undefined if the model is not exposed yet.
function serving(entry: Entry): Entry | undefined {
  return entry.exposures.length > 0 ? entry : entry.predecessor
}

function settledPromise(): Pick<Entry, 'settled' | 'settle'> {
  let settle!: () => void
  const settled = new Promise<void>((resolve) => (settle = resolve))
  return { settled, settle }
}
