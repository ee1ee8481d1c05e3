// Keeps the exposed models in step with the configuration: asks their servers, publishes their cards, takes them away.
import { Problem, type InferenceProtocol, type ModelCard, type TopicSpace } from '@inferwire/protocol'
import type { ByteBudget, ModelGate } from './admission/index.ts'
import type { ModelConfig } from './config/index.ts'
import { probeModel, type ModelFacts } from './endpoint/index.ts'
import { exposeModel, openUpstream, type Exposure, type ModelUpstream } from './expose-model.ts'
import type { ModelTable } from './route/index.ts'
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
  readonly upstream: ModelUpstream
  readonly stop: AbortController
  exposures: readonly Exposure[]
}

const PROBE_AGAIN_MIN_MS = 250
const PROBE_AGAIN_MAX_MS = 30_000

/** See the file's first line. */
export class ModelRegistry {
  readonly #parts: RegistryParts
  readonly #entries = new Map<string, Entry>()

  constructor(parts: RegistryParts) {
    this.#parts = parts
  }

  /** The cards of everything that can be asked now. */
  get cards(): ModelCard[] {
    return [...this.#entries.values()].flatMap(({ exposures }) => exposures.map(({ card }) => card))
  }

  /** The gates of everything that can be asked now, by exposed name. */
  get gates(): { model: string; gate: ModelGate }[] {
    return [...this.#entries.values()].flatMap(({ exposures }) =>
      exposures.map(({ model, gate }) => ({ model: model.name, gate })),
    )
  }

  /** Exposes what is new, replaces what changed, takes away what is gone. Requests under way finish as they began. */
  update(models: Readonly<Record<string, ModelConfig>>): void {
    for (const name of this.#entries.keys()) if (!Object.hasOwn(models, name)) this.#remove(name)
    for (const [name, config] of Object.entries(models)) {
      const fingerprint = JSON.stringify(config)
      if (this.#entries.get(name)?.fingerprint === fingerprint) continue
      const previous = this.#entries.get(name)
      const entry: Entry = {
        fingerprint,
        upstream: openUpstream(config),
        stop: new AbortController(),
        exposures: [],
      }
      this.#entries.set(name, entry)
      if (previous !== undefined)
        this.#retire(previous, new Set([name, ...config.versions.map((v) => `${name}@${v}`)]))
      this.#begin(name, config, entry)
    }
  }

  /** Ends all connections to model servers at once. */
  async close(): Promise<void> {
    const entries = [...this.#entries.values()]
    for (const { stop } of entries) stop.abort()
    await Promise.all(entries.map(({ upstream }) => upstream.pool.destroy()))
  }

  // A configured protocol is believed at once; the server is asked all the same, for the card.
  #begin(name: string, config: ModelConfig, entry: Entry): void {
    if (config.protocol === undefined) {
      this.#parts.table.setPending(name, `Model "${name}" is not ready: its server was not reached yet.`)
    } else {
      this.#expose(name, config, entry, { protocols: [config.protocol] })
    }
    void this.#probeUntilKnown(name, config, entry)
  }

  async #probeUntilKnown(name: string, config: ModelConfig, entry: Entry): Promise<void> {
    const { signal } = entry.stop
    const protocols: InferenceProtocol[] = config.protocol === undefined ? ['v2', 'v1'] : [config.protocol]
    for (
      let waitMs = PROBE_AGAIN_MIN_MS;
      !signal.aborted;
      waitMs = Math.min(waitMs * 2, PROBE_AGAIN_MAX_MS)
    ) {
      try {
        const facts = await probeModel(entry.upstream, config.as ?? name, protocols)
        if (!signal.aborted) this.#expose(name, config, entry, facts)
        return
      } catch (error) {
        if (signal.aborted) return
        this.#stillUnknown(name, config, Problem.from(error), waitMs)
      }
      await sleep(waitMs, signal)
    }
  }

  #stillUnknown(name: string, config: ModelConfig, problem: Problem, retryInMs: number): void {
    const { log, table } = this.#parts
    if (config.protocol === undefined) {
      table.setPending(name, `Model "${name}" is not ready. ${problem.message}`)
    }
    log.warn(
      {
        event: 'model_not_ready',
        model: name,
        url: config.url,
        code: problem.code,
        detail: problem.detail,
        retryInMs,
      },
      `${problem.message} Check: kubectl get inferenceservice ${config.as ?? name}`,
    )
  }

  #expose(name: string, config: ModelConfig, entry: Entry, facts: ModelFacts): void {
    const { table, log, cardChanged } = this.#parts
    // Gates are kept when only the card learns more: requests may be running behind them.
    const isFirst = entry.exposures.length === 0
    const exposures = exposeModel(name, config, entry.upstream, facts, this.#parts)
    if (isFirst) {
      entry.exposures = exposures
      for (const { model } of exposures) table.set(model)
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
    this.#retire(entry, new Set())
    this.#parts.log.info({ event: 'model_removed', model: name }, `Model "${name}" is not exposed any more.`)
  }

  #retire(entry: Entry, keptNames: ReadonlySet<string>): void {
    entry.stop.abort()
    for (const { model } of entry.exposures) {
      if (keptNames.has(model.name)) continue
      this.#parts.table.delete(model.name)
      this.#parts.cardChanged(model.name, undefined)
    }
    // Waits for the calls under way; their requests hold on to the old model.
    void entry.upstream.pool.close().catch(() => {})
  }
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms)
    function done(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    signal.addEventListener('abort', done, { once: true })
  })
}
