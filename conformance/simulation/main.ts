// Replays seeds: `npm run simulate -- --seed 7 [--count 1000] [--bug NAME] [--coverage]`.
// With one seed, prints its plan and its history. With several seeds, prints their violations and the history of
// the first failed seed.
import { parseArgs } from 'node:util'
import { printHistory } from './history.ts'
import { bugsIn } from '../rig/planted-bugs.ts'
import { BUG_HOOKS, type BugHooks } from './planted-bugs.ts'
import { printFailure, runSeeds } from './run-seeds.ts'
import { planScenario } from './scenario.ts'
import { simulate } from './simulate.ts'
import { withSimulatedTime } from './clock.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '1' },
    bug: { type: 'string' },
    coverage: { type: 'boolean', default: false },
  },
})
const first = Number(values.seed)
const count = Number(values.count)
const names = bugsIn('simulation').map(({ name }) => name)
const hooks: Readonly<Record<string, () => BugHooks>> = BUG_HOOKS
const makeBug = values.bug === undefined ? undefined : hooks[values.bug]
if (
  !Number.isInteger(first) ||
  !Number.isInteger(count) ||
  (values.bug !== undefined && makeBug === undefined)
) {
  console.error(`--seed and --count must be integers, and --bug must be one of:\n  ${names.join('\n  ')}`)
  process.exit(2)
}

const startedAtMs = performance.now()
if (count === 1) {
  console.log(JSON.stringify(planScenario(first), undefined, 2))
  const history = await withSimulatedTime(() => simulate(first, makeBug?.()))
  console.log(printHistory(history.events))
}
const { failures, coverage, events } = await runSeeds(first, count, () => makeBug?.())
const seconds = (performance.now() - startedAtMs) / 1000
if (values.coverage)
  for (const [name, runs] of [...coverage].sort(([one], [other]) => one.localeCompare(other)))
    console.log(String(runs).padStart(7), name)
if (count > 1 && failures[0] !== undefined) console.log(printFailure(failures[0]))
for (const { seed, violations } of failures) {
  for (const { rule, what } of violations) console.log(`seed ${seed} ${rule}: ${what}`)
}
console.log(
  `${count} seeds, ${events} events, ${failures.length} failed; ${seconds.toFixed(1)} s, ${(count / seconds).toFixed(0)} seeds/s`,
)
process.exitCode = failures.length === 0 ? 0 : 1
