// The result of a chaos run. Types only, so that run.ts and report.ts need not import each other.
import type { FaultRecord } from './ledger.ts'
import type { FaultSummary } from './summary.ts'
import type { TapSeen } from './tap-checker.ts'
import type { Verdict } from './verdict.ts'

/** The result of a run. */
export interface ChaosResult {
  readonly verdict: Verdict
  /** Descriptions of the connector's exits that the run did not cause; the verdict does not include them. */
  readonly deaths: readonly string[]
  readonly hasFailed: boolean
  readonly faults: FaultSummary
  readonly faultRecords: readonly FaultRecord[]
  readonly seen: Readonly<TapSeen>
  readonly sessionsLost: number
  readonly badExits: Readonly<Record<string, number>>
  readonly strangers: number
  /** Number of model calls that several requests shared. */
  readonly sharedCalls: number
  /** Number of streams that the model server began. */
  readonly streams: number
  readonly seconds: number
  readonly requestsPerSecond: number
  readonly broker: { readonly version: string; readonly settings: readonly string[] }
  readonly load: LoadFigures
  /** CPU time of each process while requests were sent, as a share of one core. */
  readonly cpu: Readonly<Record<string, number>>
  /** Peak resident memory of each process, in MB (10^6 bytes). */
  readonly peakRssMb: Readonly<Record<string, number>>
  /** Milliseconds from the start of the load to the first detection; undefined if there was none. */
  readonly detectedAfterMs: number | undefined
}

/** The options of the load. */
export interface LoadFigures {
  readonly rawClients: number
  readonly sdkClients: number
  /** Maximum number of unanswered requests. */
  readonly inFlightMax: number
  readonly requestsPerSecondMax: number
  /** Whether the connector looked for poison. */
  readonly looksForPoison: boolean
}
