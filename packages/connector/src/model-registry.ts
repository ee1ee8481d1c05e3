// Manages the exposed models: opens clients for their servers, queries metadata, and publishes and clears cards.
import { protocolOf, type ModelCard, type TopicSpace } from '@inferwire/protocol'
import type { ByteBudget, ModelGate } from './admission/index.ts'
import {
  ConfigError,
  exposedNames,
  type ConfigMistake,
  type ModelConfig,
  type NamedCredentials,
} from './config/index.ts'
import { FactsWatch } from './endpoint/index.ts'
import { exposeModel, type ModelServer } from './expose-model.ts'
import { Counted } from './counted.ts'
import { newEntry, serving, USUAL_TRAITS, type DiscoveredFacts, type Entry } from './model-entry.ts'
import { pendingCard, type PendingModel } from './pending-card.ts'
import { RetiredModels } from './retired-models.ts'
import type { ModelTable } from './route/index.ts'
import { ServerOpener, type ModelOrigin } from './server-opener.ts'
import type { ModelFacts } from './step.ts'
import type { Log, ProblemLog, Telemetry } from './telemetry/index.ts'
import { Turns } from './turns.ts'

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

// Metadata queries that run at once. A server that does not answer occupies a query for several seconds.
const QUERIES_MAX = 64
const NO_NAMES: ReadonlySet<string> = new Set()

/** The registry of exposed models. */
export class ModelRegistry {
  readonly #parts: RegistryParts
  readonly #entries = new Map<string, Entry>()
  /** The names in the last `update`. */
  #configured = NO_NAMES
  readonly #retired = new RetiredModels<Entry>((entry) => this.#close(entry))
  /** Servers whose connections are not closed yet. */
  readonly #open = new Set<ModelServer>()
  readonly #opener: ServerOpener
  readonly #queries = new Turns(QUERIES_MAX)
  /** The published cards, by name. */
  readonly #cards = new Map<string, ModelCard>()
  /** Models that were found in a cluster, and are not ready there. */
  readonly #withheld = new Set<string>()
  /** The exposed names of all entries whose server is open. */
  readonly #names = new Counted<string>()
  readonly #bodySizes = new Counted<number>()
  #requestBytesMax = 0

  constructor(parts: RegistryParts) {
    this.#parts = parts
    this.#opener = new ServerOpener(parts)
  }

  /** The published cards, by name. */
  get cards(): ReadonlyMap<string, ModelCard> {
    return this.#cards
  }

  /** The names of the configured models that are exposed. */
  get ready(): string[] {
    return this.#configuredNames((entry) => serving(entry)?.exposures.map(({ model }) => model.name))
  }

  /** The names of the configured models that are not exposed yet. */
  get notReady(): string[] {
    return this.#configuredNames((entry) =>
      serving(entry) === undefined ? exposedNames(entry.name, entry.config) : undefined,
    )
  }

  /** The gates of all exposed models, each with the model's exposed name. */
  get gates(): { model: string; gate: ModelGate }[] {
    const exposures = [...this.#entries.values()].flatMap((entry) => serving(entry)?.exposures ?? [])
    return exposures.map(({ model, gate }) => ({ model: model.name, gate }))
  }

  /**
   * The size of the largest body that any model accepts; 0 if there are no models. Cached, because it is read for every
   * packet.
   */
  get requestBytesMax(): number {
    return this.#requestBytesMax
  }

  #configuredNames(namesOf: (entry: Entry) => string[] | undefined): string[] {
    return [...this.#configured].flatMap((name) => {
      const entry = this.#entries.get(name)
      return (entry === undefined ? undefined : namesOf(entry)) ?? []
    })
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
   * Exposes a discovered model, or replaces it if its configuration differs. Running and queued requests finish with the
   * old configuration, which also serves new requests until the new server has answered. If a configured file cannot be
   * read, changes nothing (a withheld model stays withheld) and returns the mistake.
   */
  set(name: string, config: ModelConfig, discovered?: DiscoveredFacts): ConfigMistake | undefined {
    const entry = this.#entries.get(name)
    if (entry !== undefined && !this.#differs(name, config, discovered)) {
      this.#setReason(entry, discovered)
      return undefined
    }
    const opened = this.#openServer(name, config, 'discovered', discovered)
    if ('message' in opened) return opened
    this.#withheld.delete(name)
    this.#replace(name, config, opened, discovered)
    return undefined
  }

  /**
   * Keeps the name of a model that cannot be called: its card contains the reason, and its requests are answered with
   * `model_not_ready`. Requests in flight finish.
   */
  withhold(model: PendingModel): void {
    const { name, condition } = model
    this.#drop(name, new Set([name]))
    this.#withheld.add(name)
    const reason = condition.reason === undefined ? '' : `: ${condition.reason}`
    this.#parts.table.setPending(name, `Model "${name}" is not ready${reason}.`)
    this.#publish(name, pendingCard(this.#parts.topics, model))
  }

  /** Removes a model; its requests in flight finish. The figures of a withheld model are dropped only here. */
  remove(name: string): void {
    const isDropped = this.#drop(name, NO_NAMES)
    const wasWithheld = this.#withheld.delete(name)
    if (!isDropped && !wasWithheld) return
    this.#parts.table.delete(name)
    this.#publish(name, undefined)
    if (wasWithheld && !this.#names.has(name)) this.#forget([name])
    this.#parts.log.info({ event: 'model_removed', model: name }, `Model "${name}" is no longer exposed.`)
  }

  #drop(name: string, keptNames: ReadonlySet<string>): boolean {
    const entry = this.#entries.get(name)
    if (entry === undefined) return false
    this.#entries.delete(name)
    this.#clearPending(entry)
    if (entry.predecessor !== undefined) this.#retire(entry.predecessor, keptNames)
    this.#retire(entry, keptNames)
    return true
  }

  /**
   * Sets all models and credentials of a configuration, and removes models that only the previous configuration
   * contained. A model that was set by `set` is removed if it may not use its credential any more.
   * @throws ConfigError if a model's file cannot be read; in that case nothing has changed.
   */
  update(models: Readonly<Record<string, ModelConfig>>, credentials: NamedCredentials = {}): void {
    const before = this.#opener.credentials
    this.#opener.credentials = credentials
    const changed = Object.entries(models).filter(([name, config]) => this.#differs(name, config, undefined))
    const opened = changed.map(
      ([name, config]) => [name, config, this.#openServer(name, config, 'configured', undefined)] as const,
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
    for (const [name, config, result] of opened) {
      // The operator's model takes over the name of a discovered one.
      if (this.#withheld.delete(name)) this.#publish(name, undefined)
      if ('upstream' in result) this.#replace(name, config, result, undefined)
    }
    this.#updateOthers()
    this.#opener.forgetUnused()
  }

  // The definition of a credential may have changed for models that are not in the configuration.
  #updateOthers(): void {
    for (const { name, config, discovered } of Array.from(this.#entries.values())) {
      const mistake = this.#configured.has(name) ? undefined : this.set(name, config, discovered)
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
    this.#retired.stop()
    for (const { watch } of this.#entries.values()) watch?.stop()
    await Promise.all([...this.#open].map(({ upstream }) => upstream.destroy()))
  }

  #differs(name: string, config: ModelConfig, discovered: DiscoveredFacts | undefined): boolean {
    return this.#entries.get(name)?.fingerprint !== this.#opener.fingerprintOf(config, discovered?.traits)
  }

  #openServer(
    name: string,
    config: ModelConfig,
    origin: ModelOrigin,
    discovered: DiscoveredFacts | undefined,
  ): ModelServer | ConfigMistake {
    const opened = this.#opener.open(name, config, origin, discovered?.traits ?? USUAL_TRAITS)
    if ('upstream' in opened) this.#open.add(opened)
    return opened
  }

  #discard(name: string, config: ModelConfig, server: ModelServer): void {
    this.#open.delete(server)
    void server.upstream.destroy()
    this.#forget(exposedNames(name, config).filter((each) => !this.#names.has(each)))
  }

  #replace(
    name: string,
    config: ModelConfig,
    server: ModelServer,
    discovered: DiscoveredFacts | undefined,
  ): void {
    const previous = this.#entries.get(name)
    // The server of a discovered model must not receive the requests for the operator's model that takes over its name.
    const isTakeover = previous?.discovered !== undefined && discovered === undefined
    const predecessor = previous === undefined || isTakeover ? undefined : serving(previous)
    const fingerprint = this.#opener.fingerprintOf(config, discovered?.traits)
    const { log } = this.#parts
    const entry = newEntry({ name, config, fingerprint, server, discovered, predecessor, log })
    this.#entries.set(name, entry)
    for (const each of exposedNames(name, config)) this.#names.add(each)
    this.#bodySizes.add(config.limits.requestBytesMax)
    this.#requestBytesMax = Math.max(this.#requestBytesMax, config.limits.requestBytesMax)
    // A previous entry that is still exposed is retired when the new entry is exposed. Any other previous entry is
    // retired now.
    if (previous !== undefined) {
      previous.watch?.stop()
      if (entry.predecessor === undefined) this.#clearPending(previous)
      if (isTakeover && previous.predecessor !== undefined) this.#retire(previous.predecessor, NO_NAMES)
      if (previous !== entry.predecessor) this.#retire(previous, NO_NAMES)
    }
    this.#begin(entry)
  }

  // A model with a configured protocol version is exposed at once; its server is queried only for the card.
  #begin(entry: Entry): void {
    const { name, config, server } = entry
    const { protocolVersion } = config
    const { queries } = entry.discovered?.traits ?? USUAL_TRAITS
    const known: ModelFacts | undefined =
      protocolVersion === undefined
        ? undefined
        : { protocolVersions: protocolOf(protocolVersion).dialects, unanswered: [], isAssumed: true }
    const watch = new FactsWatch({
      ask: (signal) => this.#queries.take(signal, () => server.upstream.facts(signal)),
      known,
      queries,
      circuit: server.circuit,
      learned: (facts) => this.#expose(entry, facts),
      failed: (problem, retryInMs) => {
        if (serving(entry) === undefined) {
          this.#setPending(entry, `Model "${name}" is not ready. ${problem.message}`)
        }
        entry.news.stillUnknown(problem, retryInMs, entry.predecessor !== undefined)
      },
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
    if (entry.discovered === undefined) return
    const { name, config, discovered } = entry
    const condition = { state: 'not_ready', reason: 'its server has not described the model yet' } as const
    this.#publish(
      name,
      pendingCard(this.#parts.topics, { name, config, traits: discovered.traits, condition }),
    )
  }

  // A model that stays ready may get another reason, or lose it.
  #setReason(entry: Entry, discovered: DiscoveredFacts | undefined): void {
    if (entry.discovered?.reason === discovered?.reason) return
    entry.discovered = discovered
    if (entry.facts !== undefined) this.#expose(entry, entry.facts)
  }

  // Publishes a card if it has changed.
  #publish(name: string, card: ModelCard | undefined): void {
    const before = this.#cards.get(name)
    if (card === undefined ? before === undefined : JSON.stringify(card) === JSON.stringify(before)) return
    if (card === undefined) this.#cards.delete(name)
    else this.#cards.set(name, card)
    this.#parts.cardChanged(name, card)
  }

  #clearPending({ name, config }: Entry): void {
    for (const exposedName of exposedNames(name, config)) this.#parts.table.delete(exposedName)
  }

  #expose(entry: Entry, facts: ModelFacts): void {
    const { name, config, server } = entry
    const { discovered } = entry
    entry.news.missingVersions(facts)
    entry.facts = facts
    const exposures = exposeModel({
      ...this.#parts,
      name,
      config,
      server,
      facts,
      traits: discovered?.traits ?? USUAL_TRAITS,
      reason: discovered?.reason,
      before: entry.exposures,
    })
    const isFirst = entry.exposures.length === 0
    const known = new Set(entry.exposures.map(({ card }) => JSON.stringify(card)))
    const changed = exposures.filter(({ card }) => !known.has(JSON.stringify(card)))
    entry.exposures = exposures
    // The `openOperations` of a model may have changed even if its card has not.
    for (const { model } of exposures) this.#parts.table.set(model)
    if (changed.length === 0) return
    if (isFirst) this.#becomeServing(entry)
    entry.news.exposed(exposures, isFirst, changed)
    for (const { card } of changed) this.#publish(card.name, card)
  }

  #becomeServing(entry: Entry): void {
    const { predecessor } = entry
    entry.server.circuit.begin()
    entry.settle()
    entry.predecessor = undefined
    if (predecessor !== undefined) this.#retire(predecessor, new Set(exposedNames(entry.name, entry.config)))
  }

  #retire(entry: Entry, keptNames: ReadonlySet<string>): void {
    entry.watch?.stop()
    entry.settle()
    entry.server.circuit.end()
    for (const { model } of entry.exposures) {
      if (keptNames.has(model.name)) continue
      this.#parts.table.delete(model.name)
      this.#publish(model.name, undefined)
    }
    this.#forgetBodySize(entry.config.limits.requestBytesMax)
    this.#retired.add(entry)
  }

  #close({ name, config, server }: Entry): void {
    void server.upstream
      .close()
      .catch(() => {})
      .then(() => this.#open.delete(server))
    // Figures and log windows are dropped with the last entry that uses the name, so that they do not accumulate.
    this.#forget(exposedNames(name, config).filter((each) => this.#names.delete(each)))
  }

  #forget(names: readonly string[]): void {
    for (const name of names) {
      if (this.#withheld.has(name)) continue
      this.#parts.telemetry.forget(name)
      this.#parts.problemLog.forget(name)
    }
  }

  // The number of different sizes is small, because only the operator chooses them.
  #forgetBodySize(bytes: number): void {
    if (!this.#bodySizes.delete(bytes) || bytes < this.#requestBytesMax) return
    this.#requestBytesMax = Math.max(0, ...this.#bodySizes.values())
  }
}
