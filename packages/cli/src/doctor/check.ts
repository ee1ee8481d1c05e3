// The shapes of a check and of its result.
import type { DoctorContext } from './context.ts'

/** How serious a finding is. Only a fault makes the exit code differ from 0. */
export type FindingState = 'ok' | 'warning' | 'fault'

/** One statement of a check about the system. */
export interface Finding {
  readonly state: FindingState
  /** A complete sentence that names the thing and its condition. Contains no secret. */
  readonly message: string
  /** What to do, for a warning and a fault: sentences, then possibly lines of configuration. */
  readonly remedy?: string
}

/** Why a check was not carried out. */
export interface NotChecked {
  readonly state: 'skipped'
  /** The rest of the sentence "Not checked: ...". */
  readonly message: string
}

/** The result of one check: at least one finding, or the reason why it was not carried out. */
export type Outcome = Finding | NotChecked | readonly Finding[]

/** One check; one file each, all of them in the list in `checks.ts`. */
export interface Check {
  /** `{group}.{name}`. */
  readonly id: string
  /** The condition that holds in a healthy system: a short clause without a full stop. */
  readonly title: string
  /** Ids of the checks that must have passed; otherwise this check is skipped. `id?` is also met by a check that does
   * not apply. */
  readonly needs: readonly string[]
  /** Anything thrown is reported as a fault of this check. The signal is aborted at the time limit. */
  run(context: DoctorContext, signal: AbortSignal): Promise<Outcome> | Outcome
}

/** The result of one check, as it is printed. */
export interface CheckResult {
  readonly id: string
  readonly title: string
  readonly state: FindingState | 'skipped'
  /** Empty if the check was skipped. */
  readonly findings: readonly Finding[]
  /** Why the check was skipped. */
  readonly reason?: string
}

/** Returns a finding without a remedy. */
export function ok(message: string): Finding {
  return { state: 'ok', message }
}

/** Returns a finding that does not change the exit code. */
export function warning(message: string, remedy: string): Finding {
  return { state: 'warning', message, remedy }
}

/** Returns a finding that makes the system unhealthy. */
export function fault(message: string, remedy: string): Finding {
  return { state: 'fault', message, remedy }
}

/** Returns the outcome of a check that does not apply, or cannot be carried out. */
export function notChecked(message: string): NotChecked {
  return { state: 'skipped', message }
}
