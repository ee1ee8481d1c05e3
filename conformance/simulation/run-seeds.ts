// Runs many seeds, and formats a failure.
import { withSimulatedTime } from './clock.ts'
import { comeUp } from './coverage.ts'
import { printHistory, type History } from './history.ts'
import type { BugHooks } from './planted-bugs.ts'
import { simulate } from './simulate.ts'
import { judge, type Violation } from './verdict.ts'

/** A seed whose run violated a requirement. */
export interface Failure {
  readonly seed: number
  readonly violations: readonly Violation[]
  readonly history: History
}

/** The result of many runs. */
export interface Runs {
  readonly failures: readonly Failure[]
  /** Number of runs in which each situation occurred. */
  readonly coverage: ReadonlyMap<string, number>
  readonly events: number
}

// The event loop runs between batches, so that the test runner stays responsive.
const BATCH = 100
const FAILURES_MAX = 20

/**
 * Runs `count` seeds, starting with `first`. Stops after FAILURES_MAX failures, or at the first failure for which
 * `isDetected` returns true.
 */
export async function runSeeds(
  first: number,
  count: number,
  makeBug: () => BugHooks | undefined = () => undefined,
  isDetected: (failure: Failure) => boolean = () => false,
): Promise<Runs> {
  const failures: Failure[] = []
  const coverage = new Map<string, number>()
  let events = 0
  let isOver = false
  // Stack traces of planned errors would take a tenth of the run time, so they are captured only when a single
  // seed is replayed.
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  for (let seed = first; seed < first + count && !isOver;) {
    const end = Math.min(first + count, seed + BATCH)
    await withSimulatedTime(async () => {
      for (; seed < end && !isOver; seed++) {
        const history = await simulate(seed, makeBug())
        const violations = judge(history)
        events += history.events.length
        for (const name of comeUp(history)) coverage.set(name, (coverage.get(name) ?? 0) + 1)
        if (violations.length === 0) continue
        const failure = { seed, violations, history }
        failures.push(failure)
        isOver = failures.length >= FAILURES_MAX || isDetected(failure)
      }
    })
    await new Promise((resolve) => setImmediate(resolve))
  }
  Error.stackTraceLimit = stackTraceLimit
  return { failures, coverage, events }
}

/** Formats a seed's violations and history. */
export function printFailure({ seed, violations, history }: Failure): string {
  const broken = violations.map(({ rule, atMs, what }) => `  ${rule} at ${atMs.toFixed(3)} ms: ${what}`)
  return [
    `Seed ${seed} violated these requirements:`,
    ...broken,
    `Replay it: npm run simulate -- --seed ${seed}`,
    printHistory(history.events),
  ].join('\n')
}
