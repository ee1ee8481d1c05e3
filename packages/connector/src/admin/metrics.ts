// Collects the metrics; loads prom-client only on the first scrape.
import { Telemetry } from '../telemetry/index.ts'
import type { Exposition, LiveState, MetricDescription } from './exposition.ts'

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

const NO_STATE: LiveState = {
  version: '',
  inFlight: 0,
  unacknowledged: 0,
  unpublished: 0,
  bytesInFlight: 0,
  replyCacheBytes: 0,
  gates: [],
}

/** Lists the connector's own metrics for the reference page, in the order of `/metrics`. */
export async function describeMetrics(): Promise<readonly MetricDescription[]> {
  const module = await import('./exposition.ts')
  return new module.Exposition(new Telemetry(), () => NO_STATE).descriptions
}
