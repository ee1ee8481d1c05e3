// Collects the metrics; loads prom-client only on the first scrape.
import type { Telemetry } from '../telemetry/index.ts'
import type { Exposition, LiveState } from './exposition.ts'

/** The response to `/metrics`. */
export interface MetricsText {
  readonly contentType: string
  readonly text: string
}

/** Returns the collector. prom-client takes memory and start-up time, so it is not loaded before the first scrape. */
export function createMetrics(telemetry: Telemetry, state: () => LiveState): () => Promise<MetricsText> {
  let exposition: Promise<Exposition> | undefined
  return async () => {
    exposition ??= import('./exposition.ts').then((module) => new module.Exposition(telemetry, state))
    const ready = await exposition
    return { contentType: ready.contentType, text: await ready.text() }
  }
}
