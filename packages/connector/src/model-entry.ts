// One model of the registry: its configuration, its server, and what it exposes now.
import type { ModelConfig } from './config/index.ts'
import type { FactsWatch } from './endpoint/index.ts'
import type { Exposure, ModelServer } from './expose-model.ts'
import { RegistryNews } from './registry-news.ts'
import type { ModelFacts, ModelTraits } from './step.ts'
import type { Log } from './telemetry/index.ts'

/** What discovery knows about a model in addition to its configuration. */
export interface DiscoveredFacts {
  readonly traits: ModelTraits
  /** What is wrong although the model is ready; a part of a sentence. */
  readonly reason: string | undefined
  /** The command that shows the model's object. */
  readonly inspect?: string
}

/** A model of the registry. */
export interface Entry {
  readonly name: string
  readonly config: ModelConfig
  /** The configuration, its credential and the traits as JSON, to detect changes. */
  readonly fingerprint: string
  readonly server: ModelServer
  readonly news: RegistryNews
  /** Undefined for a configured model. */
  discovered: DiscoveredFacts | undefined
  watch: FactsWatch | undefined
  /** The last facts that were exposed. */
  facts: ModelFacts | undefined
  /** Empty until the server has answered. */
  exposures: readonly Exposure[]
  /** The replaced entry, which serves requests until this one is exposed. */
  predecessor: Entry | undefined
  /** Resolves when the entry is exposed, replaced or removed. */
  readonly settled: Promise<void>
  readonly settle: () => void
}

/** The traits of a configured model. */
export const USUAL_TRAITS: ModelTraits = { queries: 'usual' }

/** What a new entry needs. */
export interface NewEntry {
  readonly name: string
  readonly config: ModelConfig
  readonly fingerprint: string
  readonly server: ModelServer
  readonly discovered: DiscoveredFacts | undefined
  readonly predecessor: Entry | undefined
  readonly log: Log
}

/** Returns an entry that exposes nothing yet. */
export function newEntry({ log, ...given }: NewEntry): Entry {
  const { name, config, discovered } = given
  return {
    ...given,
    news: new RegistryNews(log, name, config, discovered?.inspect),
    watch: undefined,
    facts: undefined,
    exposures: [],
    ...settledPromise(),
  }
}

/** Returns the entry that currently serves the model of `entry`; undefined if the model is not exposed yet. */
export function serving(entry: Entry): Entry | undefined {
  return entry.exposures.length > 0 ? entry : entry.predecessor
}

function settledPromise(): Pick<Entry, 'settled' | 'settle'> {
  let settle!: () => void
  const settled = new Promise<void>((resolve) => (settle = resolve))
  return { settled, settle }
}
