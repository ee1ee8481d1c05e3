// Log lines and hints about exposed models.
import type { ModelConfig } from './config/index.ts'
import type { Exposure } from './expose-model.ts'
import type { Log } from './telemetry/index.ts'

/** A model of the registry. */
export interface NewsOf {
  readonly name: string
  readonly config: ModelConfig
  readonly exposures: readonly Exposure[]
}

/** Logs that a model is exposed, or that its card has changed. */
export function logExposed(
  log: Log,
  { name, config, exposures }: NewsOf,
  isFirst: boolean,
  changed: readonly Exposure[],
): void {
  const operations = [...exposures[0]!.model.operations.keys()]
  const event = isFirst ? 'model_exposed' : 'model_changed'
  log.info(
    { event, model: name, url: config.url, operations },
    isFirst ? `Model "${name}" is exposed.` : `The card of model "${name}" has changed.`,
  )
  for (const { model, missingDefault } of changed) {
    if (missingDefault === undefined) continue
    log.warn(
      { event: 'default_operation_missing', model: model.name, operations: [...model.operations.keys()] },
      `Model "${model.name}" does not offer its configured default operation "${missingDefault}"; requests without an operation use "${model.defaultOperation.name}". Set models.*.defaultOperation to an operation that it offers.`,
    )
  }
}

/** Returns where to look for the reason why a server does not answer: a kubectl command if it is in a cluster. */
export function whereToLook({ url, host }: ModelConfig, upstreamName: string): string {
  const isInCluster = /\.svc(?:[.:]|$)/.test(new URL(url).host) || host !== undefined
  return isInCluster
    ? `Check: kubectl get inferenceservice ${upstreamName}`
    : `Check that the model server runs at ${url} and serves "${upstreamName}".`
}
