// Runs many seeds, and says in words what is wrong with one.
import { withSimulatedTime } from './clock.ts'
import { comeUp } from './coverage.ts'
import { printHistory, type History } from './history.ts'
import type { BugHooks } from './planted-bugs.ts'
import { simulate } from './simulate.ts'
import { judge, type Violation } from './verdict.ts'

/** A seed that broke a promise. */
export interface Failure {
  readonly seed: number
  readonly violations: readonly Violation[]
  readonly history: History
}

/** What came of many runs. */
export interface Runs {
  readonly failures: readonly Failure[]
  /** In how many runs each thing came up. */
  readonly coverage: ReadonlyMap<string, number>
  readonly events: number
}

// Between batches the event loop turns, so that whoever runs us stays alive.
const BATCH = 100
const FAILURES_MAX = 20

/** From `first`, `count` seeds; it stops after a few failures, or after the first with `isDetected`. */
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
  // A stack for each planned error costs a tenth of the time; the replay of a single seed has them.
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

/** The seed, what it broke, and all that happened. */
export function printFailure({ seed, violations, history }: Failure): string {
  const broken = violations.map(({ rule, atMs, what }) => `  ${rule} at ${atMs.toFixed(3)} ms: ${what}`)
  return [
    `Seed ${seed} broke:`,
    ...broken,
    `Replay it: npm run simulate -- --seed ${seed}`,
    printHistory(history.events),
  ].join('\n')
}
