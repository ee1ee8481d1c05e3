// Replays seeds: `npm run simulate -- --seed 7 --count 1 [--bug NAME]`. Prints the history of those that break a promise.
import { parseArgs } from 'node:util'
import { withSimulatedTime } from './clock.ts'
import { printHistory } from './history.ts'
import { PLANTED_BUGS } from './planted-bugs.ts'
import { planScenario } from './scenario.ts'
import { simulate } from './simulate.ts'
import { judge } from './verdict.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '1' },
    bug: { type: 'string' },
    /** Prints the history in any case. */
    trace: { type: 'boolean', default: false },
  },
})
const first = Number(values.seed)
const count = Number(values.count)
const startedAt = process.hrtime.bigint()
const rules = new Map<string, number[]>()
for (let seed = first; seed < first + count; seed++) {
  const bug = values.bug === undefined ? undefined : PLANTED_BUGS[values.bug]!.make()
  const history = await withSimulatedTime(() => simulate(seed, bug))
  const violations = judge(history)
  for (const { rule } of violations) rules.set(rule, [...(rules.get(rule) ?? []), seed])
  if (count > 1 && !values.trace) continue
  console.log(JSON.stringify(planScenario(seed), undefined, 2))
  console.log(printHistory(history.events))
  for (const { rule, atMs, what } of violations) console.log(`${rule} broken at ${atMs.toFixed(3)}: ${what}`)
}
const seconds = Number(process.hrtime.bigint() - startedAt) / 1e9
for (const [rule, seeds] of rules) {
  const distinct = [...new Set(seeds)]
  console.log(`${rule}: ${distinct.length} seeds, first ${distinct.slice(0, 12).join(' ')}`)
}
console.log(
  `${count} seeds in ${seconds.toFixed(1)} s, ${rules.size === 0 ? 'no promise broken' : 'PROMISES BROKEN'}`,
)
process.exitCode = rules.size === 0 ? 0 : 1
