// Keeps the exposed models in step with the configuration: asks their servers, publishes their cards, takes them away.
import { setTimeout as sleep } from 'node:timers/promises'
import { Problem, type ModelCard, type TopicSpace } from '@inferwire/protocol'
import type { ByteBudget, ModelGate } from './admission/index.ts'
import { ConfigError, type ConfigMistake, type ModelConfig } from './config/index.ts'
import { exposeModel, openServer, type Exposure, type ModelServer } from './expose-model.ts'
import type { ModelTable } from './route/index.ts'
import type { ModelFacts } from './step.ts'
import type { Log, Telemetry } from './telemetry/index.ts'

/** What the registry works with. */
export interface RegistryParts {
  readonly topics: TopicSpace
  readonly table: ModelTable
  readonly budget: ByteBudget
  readonly telemetry: Telemetry
  readonly log: Log
  /** Publishes a card, or takes it away (`undefined`). Called whenever a card changes. */
  readonly cardChanged: (name: string, card: ModelCard | undefined) => void
}

interface Entry {
  /** Tells whether a reload changed it. */
  readonly fingerprint: string
  readonly server: ModelServer
  readonly stop: AbortController
  /** Empty until the server was reached. */
  exposures: readonly Exposure[]
  /** Serves until this one is exposed. */
  predecessor: Entry | undefined
  /** Resolves with the first exposure. */
  readonly exposed: Promise<void>
  readonly becomeExposed: () => void
}

const PROBE_AGAIN_MIN_MS = 250
const PROBE_AGAIN_MAX_MS = 30_000
// How often a retired model is asked whether its last request has left.
const IDLE_CHECK_MS = 100
// With these, it helps to look at the InferenceService; with others it misleads.
const HINT_CODES: ReadonlySet<string> = new Set(['model_not_ready', 'upstream_unreachable'])

const NO_NAMES: ReadonlySet<string> = new Set()

/** See the file's first line. */
export class ModelRegistry {
  readonly #parts: RegistryParts
  readonly #entries = new Map<string, Entry>()
  /** Replaced or taken away, with requests that still run or wait. */
  readonly #retired = new Set<Entry>()
  /** Every server whose connections are not closed yet. */
  readonly #open = new Set<ModelServer>()
  #idleCheck: NodeJS.Timeout | undefined

  constructor(parts: RegistryParts) {
    this.#parts = parts
  }

  /** The cards of everything that can be asked now. */
  get cards(): ModelCard[] {
    return this.#serving.map(({ card }) => card)
  }

  /** The gates of everything that can be asked now, by exposed name. */
  get gates(): { model: string; gate: ModelGate }[] {
    return this.#serving.map(({ model, gate }) => ({ model: model.name, gate }))
  }

  get #serving(): Exposure[] {
    return [...this.#entries.values()].flatMap((entry) => serving(entry)?.exposures ?? [])
  }

  /**
   * Exposes what is new, replaces what changed, takes away what is gone. Requests under way finish as they began, and
   * a changed model serves as before until its server is reached the new way.
   * @throws ConfigError when a model's files cannot be read; then nothing has changed.
   */
  update(models: Readonly<Record<string, ModelConfig>>): void {
    const changed = Object.entries(models).filter(
      ([name, config]) => this.#entries.get(name)?.fingerprint !== JSON.stringify(config),
    )
    const servers = openServers(changed, this.#parts)
    for (const name of this.#entries.keys()) if (!Object.hasOwn(models, name)) this.#remove(name)
    for (const [name, config] of changed) {
      const server = servers.get(name)!
      this.#open.add(server)
      const previous = this.#entries.get(name)
      const entry: Entry = {
        fingerprint: JSON.stringify(config),
        server,
        stop: new AbortController(),
        exposures: [],
        predecessor: previous === undefined ? undefined : serving(previous),
        ...exposedPromise(),
      }
      this.#entries.set(name, entry)
      // A predecessor goes when this one is exposed; one that was never exposed goes now.
      if (previous !== undefined) {
        previous.stop.abort()
        if (previous !== entry.predecessor) this.#retire(previous, NO_NAMES)
      }
      this.#begin(name, config, entry)
    }
  }

  /** Ends all connections to model servers at once. */
  async close(): Promise<void> {
    clearInterval(this.#idleCheck)
    this.#retired.clear()
    for (const { stop } of this.#entries.values()) stop.abort()
    await Promise.all([...this.#open].map(({ upstream }) => upstream.destroy()))
  }

  // A configured protocol is believed at once; the server is asked all the same, for the card.
  #begin(name: string, config: ModelConfig, entry: Entry): void {
    if (config.protocol !== undefined) {
      this.#expose(name, config, entry, { protocols: [config.protocol], unanswered: [] })
    } else if (entry.predecessor === undefined) {
      this.#parts.table.setPending(name, `Model "${name}" is not ready: its server was not reached yet.`)
    }
    void this.#probeUntilKnown(name, config, entry)
  }

  /** Resolves when every model can be asked; a server that does not answer keeps it waiting. */
  async allExposed(): Promise<void> {
    await Promise.all([...this.#entries.values()].map(({ exposed }) => exposed))
  }

  async #probeUntilKnown(name: string, config: ModelConfig, entry: Entry): Promise<void> {
    const { signal } = entry.stop
    for (
      let waitMs = PROBE_AGAIN_MIN_MS;
      !signal.aborted;
      waitMs = Math.min(waitMs * 2, PROBE_AGAIN_MAX_MS)
    ) {
      try {
        const facts = await entry.server.upstream.facts(signal)
        if (!signal.aborted) this.#expose(name, config, entry, facts)
        return
      } catch (error) {
        if (signal.aborted) return
        this.#stillUnknown(name, config, entry, Problem.from(error), waitMs)
      }
      // Rejects only when the entry is stopped, which the loop sees by itself.
      await sleep(waitMs, undefined, { signal }).catch(() => {})
    }
  }

  #stillUnknown(name: string, config: ModelConfig, entry: Entry, problem: Problem, retryInMs: number): void {
    const { log, table } = this.#parts
    if (serving(entry) === undefined) {
      table.setPending(name, `Model "${name}" is not ready. ${problem.message}`)
    }
    const isReplacing = entry.predecessor !== undefined
    const hint = HINT_CODES.has(problem.code) ? ` ${whereToLook(config, config.as ?? name)}` : ''
    log.warn(
      {
        event: 'model_not_ready',
        model: name,
        url: config.url,
        code: problem.code,
        detail: problem.detail,
        retryInMs,
      },
      `${problem.message}${isReplacing ? ' The model is served as before the reload.' : ''}${hint}`,
    )
  }

  #expose(name: string, config: ModelConfig, entry: Entry, facts: ModelFacts): void {
    const { table, log, cardChanged } = this.#parts
    // Gates are kept when only the card learns more: requests may be running behind them.
    const isFirst = entry.exposures.length === 0
    const gates = new Map(entry.exposures.map(({ model, gate }) => [model.name, gate]))
    const exposures = exposeModel({ ...this.#parts, name, config, server: entry.server, facts, gates })
    if (isFirst) {
      entry.exposures = exposures
      entry.server.circuit.begin()
      for (const { model } of exposures) table.set(model)
      entry.becomeExposed()
      this.#retirePredecessor(entry)
      const operations = [...exposures[0]!.model.operations.keys()]
      log.info(
        { event: 'model_exposed', model: name, url: config.url, operations },
        `Model "${name}" is exposed.`,
      )
    } else {
      entry.exposures = entry.exposures.map((known, index) => ({ ...known, card: exposures[index]!.card }))
    }
    for (const { card } of exposures) cardChanged(card.name, card)
  }

  #remove(name: string): void {
    const entry = this.#entries.get(name)!
    this.#entries.delete(name)
    this.#parts.table.delete(name)
    if (entry.predecessor !== undefined) this.#retire(entry.predecessor, NO_NAMES)
    this.#retire(entry, NO_NAMES)
    this.#parts.log.info({ event: 'model_removed', model: name }, `Model "${name}" is not exposed any more.`)
  }

  #retirePredecessor(entry: Entry): void {
    const { predecessor } = entry
    if (predecessor === undefined) return
    entry.predecessor = undefined
    this.#retire(predecessor, new Set(entry.exposures.map(({ model }) => model.name)))
  }

  #retire(entry: Entry, keptNames: ReadonlySet<string>): void {
    entry.stop.abort()
    entry.server.circuit.end()
    for (const { model } of entry.exposures) {
      if (keptNames.has(model.name)) continue
      this.#parts.table.delete(model.name)
      this.#parts.cardChanged(model.name, undefined)
    }
    this.#retired.add(entry)
    this.#closeIdle()
  }

  // A closed pool takes no further call, but requests that wait at the old gate are still to make theirs.
  #closeIdle(): void {
    for (const entry of this.#retired) {
      if (entry.exposures.some(({ gate }) => gate.running + gate.waiting > 0)) continue
      this.#retired.delete(entry)
      // Waits for a probe under way.
      void entry.server.upstream
        .close()
        .catch(() => {})
        .then(() => this.#open.delete(entry.server))
    }
    if (this.#retired.size === 0) {
      clearInterval(this.#idleCheck)
      this.#idleCheck = undefined
    } else {
      this.#idleCheck ??= setInterval(() => this.#closeIdle(), IDLE_CHECK_MS).unref()
    }
  }
}

// What answers requests for an entry's model now; undefined = nothing yet.
function serving(entry: Entry): Entry | undefined {
  return entry.exposures.length > 0 ? entry : entry.predecessor
}

// All or none.
function openServers(
  models: readonly (readonly [string, ModelConfig])[],
  parts: RegistryParts,
): Map<string, ModelServer> {
  const opened = new Map<string, ModelServer>()
  const mistakes: ConfigMistake[] = []
  for (const [name, config] of models) {
    try {
      opened.set(name, openServer(name, config, parts))
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      mistakes.push({
        path: `models.${name}`,
        source: 'configuration',
        message: `Its server "${config.url}" cannot be called: ${reason}. Give files that are there and readable.`,
      })
    }
  }
  if (mistakes.length === 0) return opened
  for (const { upstream } of opened.values()) void upstream.destroy()
  throw new ConfigError(mistakes)
}

function exposedPromise(): Pick<Entry, 'exposed' | 'becomeExposed'> {
  let becomeExposed!: () => void
  const exposed = new Promise<void>((resolve) => (becomeExposed = resolve))
  return { exposed, becomeExposed }
}

// A host name of a cluster is asked about in the cluster; anything else where it runs.
function whereToLook({ url, host }: ModelConfig, upstreamName: string): string {
  const isInCluster = /\.svc(?:[.:]|$)/.test(new URL(url).host) || host !== undefined
  return isInCluster
    ? `Check: kubectl get inferenceservice ${upstreamName}`
    : `Check that the model server runs at ${url} and serves "${upstreamName}".`
}
