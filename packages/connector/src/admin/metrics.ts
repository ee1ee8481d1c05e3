// Collects the metrics, and loads what that takes only when somebody asks for the first time.
import type { Telemetry } from '../telemetry/index.ts'
import type { Exposition, LiveState } from './exposition.ts'

/** What `/metrics` answers. */
export interface MetricsText {
  readonly contentType: string
  readonly text: string
}

/** prom-client costs memory and start-up time, which a connector that nobody scrapes need not pay. */
export function createMetrics(telemetry: Telemetry, state: () => LiveState): () => Promise<MetricsText> {
  let exposition: Promise<Exposition> | undefined
  return async () => {
    exposition ??= import('./exposition.ts').then((module) => new module.Exposition(telemetry, state))
    const ready = await exposition
    return { contentType: ready.contentType, text: await ready.text() }
  }
}
