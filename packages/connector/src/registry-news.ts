// Writes the log lines about exposed models.
import type { Problem } from '@inferwire/protocol'
import type { ModelConfig } from './config/index.ts'
import type { Exposure } from './expose-model.ts'
import type { ModelFacts } from './step.ts'
import { problemFields, type Log } from './telemetry/index.ts'

// Minimum time before the same warning about a server is repeated.
const REPEAT_WARNING_MS = 30_000
// The codes for which the hint to check the InferenceService is useful.
const HINT_CODES: ReadonlySet<string> = new Set(['model_not_ready', 'upstream_unreachable'])

/** The log lines about one model; it remembers what was logged, so that nothing is repeated too often. */
export class RegistryNews {
  readonly #log: Log
  readonly #name: string
  readonly #config: ModelConfig
  /** The command that shows the object of a discovered model. */
  readonly #inspect: string | undefined
  /** The last warning about the server, and the time (`performance.now()`) until which it is not repeated. */
  #lastWarning: { readonly detail: string | undefined; readonly untilMs: number } | undefined
  /** Configured versions that the server does not have, with the logged reasons. */
  #missingVersions: ReadonlyMap<string, string> | undefined

  constructor(log: Log, name: string, config: ModelConfig, inspect: string | undefined) {
    this.#log = log
    this.#name = name
    this.#config = config
    this.#inspect = inspect
  }

  /** Logs that the server did not describe the model. `retryInMs`: see `FactsWatchOptions.failed`. */
  stillUnknown(problem: Problem, retryInMs: number | undefined, hasPredecessor: boolean): void {
    const { code, detail, message } = problem
    const next = [
      hasPredecessor ? ' The previous configuration remains in use for this model.' : '',
      retryInMs === undefined
        ? ' The connector queries the server again after the next answered request.'
        : '',
      HINT_CODES.has(code) ? ` ${this.#whereToLook()}` : '',
    ]
    // A repeated warning is logged at level debug: requests trigger queries, so a server that is loading or has no
    // metadata could fill the log.
    const nowMs = performance.now()
    const repeated = this.#lastWarning?.detail === detail ? this.#lastWarning : undefined
    const isQuiet = repeated !== undefined && (retryInMs === undefined || nowMs < repeated.untilMs)
    if (!isQuiet) this.#lastWarning = { detail, untilMs: nowMs + REPEAT_WARNING_MS }
    this.#log[isQuiet ? 'debug' : 'warn'](
      // `retryWithinMs` is an upper bound, because a request triggers the next query sooner.
      {
        event: 'model_not_ready',
        model: this.#name,
        url: this.#config.url,
        ...problemFields(problem),
        retryWithinMs: retryInMs,
      },
      `${message}${next.join('')}`,
    )
  }

  /** Logs each version that the server does not have, once for each reason: the facts are queried repeatedly. */
  missingVersions({ ofVersions }: ModelFacts): void {
    if (ofVersions === undefined) return
    const known = this.#missingVersions
    const missing = [...ofVersions].flatMap(([version, facts]) =>
      facts.state === 'missing' ? [[version, facts.reason] as const] : [],
    )
    this.#missingVersions = new Map(missing)
    for (const [version, detail] of missing) {
      if (known?.get(version) === detail) continue
      this.#log.warn(
        { event: 'version_missing', model: `${this.#name}@${version}`, url: this.#config.url, detail },
        `The server of model "${this.#name}" has no metadata for version "${version}", so its card has no tensors. Load the version on the server, or remove it from models.*.versions.`,
      )
    }
  }

  /** Logs that the model is exposed, or that its card has changed. */
  exposed(exposures: readonly Exposure[], isFirst: boolean, changed: readonly Exposure[]): void {
    const operations = [...exposures[0]!.model.operations.keys()]
    const event = isFirst ? 'model_exposed' : 'model_changed'
    this.#log.info(
      { event, model: this.#name, url: this.#config.url, operations },
      isFirst ? `Model "${this.#name}" is exposed.` : `The card of model "${this.#name}" has changed.`,
    )
    for (const { model, missingDefault } of changed) {
      if (missingDefault === undefined) continue
      this.#log.warn(
        { event: 'default_operation_missing', model: model.name, operations: [...model.operations.keys()] },
        `Model "${model.name}" does not offer its configured default operation "${missingDefault}"; requests without an operation use "${model.defaultOperation.name}". Set models.*.defaultOperation to an operation that it offers.`,
      )
    }
  }

  // Suggests a kubectl command if the server is in a cluster.
  #whereToLook(): string {
    if (this.#inspect !== undefined) return `Check: ${this.#inspect}`
    const { url, host, modelName = this.#name } = this.#config
    const isInCluster = /\.svc(?:[.:]|$)/.test(new URL(url).host) || host !== undefined
    return isInCluster
      ? `Check: kubectl get inferenceservice ${modelName}`
      : `Check that the model server runs at ${url} and serves "${modelName}".`
  }
}
