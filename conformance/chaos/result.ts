// The result of a chaos run. Types only, so that run and report need not import each other.
import type { FaultRecord } from './ledger.ts'
import type { FaultSummary } from './summary.ts'
import type { TapSeen } from './tap-checker.ts'
import type { Verdict } from './verdict.ts'

/** The result of a run. */
export interface ChaosResult {
  readonly verdict: Verdict
  /** In addition to the verdict: exits of the connector that the run did not cause. */
  readonly deaths: readonly string[]
  readonly hasFailed: boolean
  readonly faults: FaultSummary
  readonly faultRecords: readonly FaultRecord[]
  readonly seen: Readonly<TapSeen>
  readonly sessionsLost: number
  readonly badExits: Readonly<Record<string, number>>
  readonly strangers: number
  readonly seconds: number
  readonly requestsPerSecond: number
  readonly broker: { readonly version: string; readonly settings: readonly string[] }
  readonly load: LoadFigures
  /** Share of one core by process, while requests were sent. */
  readonly cpu: Readonly<Record<string, number>>
  /** Peak of the resident memory by process, in MB (10^6 bytes). */
  readonly peakRssMb: Readonly<Record<string, number>>
  /** Milliseconds from the start of the load to the first detection; undefined when there was none. */
  readonly detectedAfterMs: number | undefined
}

/** The options of the load. */
export interface LoadFigures {
  readonly rawClients: number
  readonly sdkClients: number
  /** Requests that could be unanswered at the same time. */
  readonly inFlightMax: number
  readonly requestsPerSecondMax: number
  /** Whether the connector looked for poison. */
  readonly looksForPoison: boolean
}
