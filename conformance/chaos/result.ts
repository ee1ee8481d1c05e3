// What a chaos run hands to its report and to its tests. Types only, so that run and report need not import one another.
import type { FaultRecord } from './ledger.ts'
import type { FaultSummary } from './summary.ts'
import type { TapSeen } from './tap-checker.ts'
import type { Verdict } from './verdict.ts'

/** What came out. */
export interface ChaosResult {
  readonly verdict: Verdict
  /** Beside the verdict: the connector ended by itself. */
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
  /** Share of one core by process, while it asked. */
  readonly cpu: Readonly<Record<string, number>>
  /** Peak of the resident memory by process, in MB (10^6 bytes). */
  readonly peakRssMb: Readonly<Record<string, number>>
  /** Milliseconds from the beginning of the load to the proof; undefined when there was none. */
  readonly detectedAfterMs: number | undefined
}

/** How it was asked. */
export interface LoadFigures {
  readonly rawClients: number
  readonly sdkClients: number
  /** Requests that could be unanswered at once. */
  readonly inFlightMax: number
  readonly requestsPerSecondMax: number
  /** Whether the connector looked for poison. */
  readonly looksForPoison: boolean
}
