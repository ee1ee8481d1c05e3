// Finds the models that have a lane: an MQTT session of their own.
import { exposedNames } from './exposed-names.ts'
import { LANE_TIMEOUT_MS } from './model-schema.ts'
import type { ConnectorConfig } from './schema.ts'

/** Returns the models that have a lane, each with all the names that the model has in topics. */
export function laneNames({ models }: Pick<ConnectorConfig, 'models'>): Map<string, readonly string[]> {
  const lanes = Object.entries(models).filter(
    ([, { lane, timeoutMs }]) => lane ?? timeoutMs > LANE_TIMEOUT_MS,
  )
  return new Map(lanes.map(([name, model]) => [name, exposedNames(name, model)]))
}
