// Runs the checks in order, each with a time limit; a check whose prerequisite did not pass is skipped.
import { setMaxListeners } from 'node:events'
import type { Check, CheckResult, Finding, Outcome } from './check.ts'
import { describeFailure } from './describe-failure.ts'
import type { DoctorContext } from './context.ts'

/** Called before and after each check. */
export interface Progress {
  started(check: Check): void
  finished(result: CheckResult): void
}

/** Resolves when all checks have ended. */
export async function runChecks(
  checks: readonly Check[],
  context: DoctorContext,
  progress: Progress,
): Promise<CheckResult[]> {
  const results = new Map<string, CheckResult>()
  // The checks that were skipped because of another check.
  const blocked = new Set<string>()
  for (const check of checks) {
    progress.started(check)
    const blocking = check.needs.find((need) => !isMet(need, results, blocked))?.replace(/\?$/, '')
    const result =
      blocking === undefined ? await runCheck(check, context) : skipped(check, blockedBy(blocking, results))
    if (blocking !== undefined) blocked.add(check.id)
    results.set(check.id, result)
    progress.finished(result)
  }
  return [...results.values()]
}

// `id?` is also met by a check that does not apply.
function isMet(
  need: string,
  results: ReadonlyMap<string, CheckResult>,
  blocked: ReadonlySet<string>,
): boolean {
  const id = need.replace(/\?$/, '')
  const state = results.get(id)?.state
  if (state === 'ok' || state === 'warning') return true
  return state === 'skipped' && need.endsWith('?') && !blocked.has(id)
}

// A chain of skipped checks is traced back to the reason why the first one was skipped.
function blockedBy(id: string, results: ReadonlyMap<string, CheckResult>): string {
  const blocking = results.get(id)
  if (blocking?.state === 'skipped' && blocking.reason !== undefined) return blocking.reason
  return `${id} failed`
}

async function runCheck(check: Check, context: DoctorContext): Promise<CheckResult> {
  const { timeoutMs } = context
  const signal = AbortSignal.timeout(timeoutMs)
  // A check may have many calls in progress, each with a listener.
  setMaxListeners(0, signal)
  // A check that ignores its signal must not stop the others.
  const late = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => setTimeout(() => reject(new CheckTimeout(timeoutMs)), GRACE_MS), {
      once: true,
    })
  })
  late.catch(() => {})
  try {
    return toResult(check, await Promise.race([check.run(context, signal), late]))
  } catch (error) {
    return toResult(check, describeFailure(error))
  }
}

// Time in which a check can report why it was aborted.
const GRACE_MS = 500

/** A check did not end within its time limit. */
class CheckTimeout extends Error {
  override readonly name = 'CheckTimeout'

  constructor(timeoutMs: number) {
    super(`The check did not end within ${timeoutMs / 1_000} s.`)
  }
}

function toResult(check: Check, outcome: Outcome): CheckResult {
  if ('state' in outcome && outcome.state === 'skipped') return skipped(check, outcome.message)
  const findings = (Array.isArray(outcome) ? outcome : [outcome]) as readonly Finding[]
  return { id: check.id, title: check.title, state: worst(findings), findings }
}

function skipped({ id, title }: Check, reason: string): CheckResult {
  return { id, title, state: 'skipped', findings: [], reason }
}

function worst(findings: readonly Finding[]): Finding['state'] {
  const states = findings.map(({ state }) => state)
  if (states.includes('fault')) return 'fault'
  return states.includes('warning') ? 'warning' : 'ok'
}
