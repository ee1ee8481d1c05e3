// The targets of `npm run bench`.
import { YARDSTICK } from './contender.mjs'
import { pairsOf } from './rounds.mjs'
import { median } from './statistics.mjs'
import { targetTable } from './table.mjs'
import { medianTarget } from './targets.mjs'

const JUDGED = 'inferwire'
const CPU = 'connector CPU'
/** The largest permitted ratios to the yardstick, with the same number of requests in flight and the same bodies. */
const RATIOS = [
  { scenario: '32', what: CPU, member: 'connectorCpuMs', limit: 1.15 },
  { scenario: '256', what: CPU, member: 'connectorCpuMs', limit: 1.15 },
  { scenario: '1', what: 'p50', member: 'p50Ms', limit: 1.5 },
  { scenario: '32x100k', what: CPU, member: 'connectorCpuMs', limit: 1.3 },
  { scenario: '32x600k', what: CPU, member: 'connectorCpuMs', limit: 1.2 },
]
const READY_MAX_MS = 500
const PEAK_RSS_MAX_MB = 100

/** Returns the paragraph with the targets. @param {object[]} runs as in `report` */
export function targets(runs) {
  const rows = [...RATIOS.map((ratio) => ratioTarget(runs, ratio)), readyTarget(runs), memoryTarget(runs)]
  return `The targets for \`${JUDGED}\`.\n\n${targetTable(rows)}`
}

function ratioTarget(runs, { scenario, what, member, limit }) {
  const isOf = (contender) => (run) => run.scenario === scenario && run.contender === contender
  const pairs = pairsOf(runs, isOf(JUDGED), isOf(YARDSTICK))
  const values = pairs.map(([run, yardstick]) => run[member] / yardstick[member])
  return medianTarget({
    what: `${what}, \`${scenario}\`, ratio to \`${YARDSTICK}\``,
    relation: '<=',
    limit,
    values,
  })
}

function readyTarget(runs) {
  const values = runs.flatMap(({ contender, readyMs }) =>
    contender === JUDGED && readyMs !== null ? [readyMs] : [],
  )
  return medianTarget({
    what: 'start to ready, in ms',
    relation: '<',
    limit: READY_MAX_MS,
    values,
    digits: 0,
  })
}

// Every scenario must meet the target, so the scenario that uses the most memory is compared.
function memoryTarget(runs) {
  const scenarios = [...new Set(runs.map(({ scenario }) => scenario))]
  const byScenario = scenarios.map((scenario) => ({ scenario, values: peaksMb(runs, scenario) }))
  const [highest] = byScenario
    .filter(({ values }) => values.length > 0)
    .sort((one, other) => median(other.values) - median(one.values))
  const where = highest === undefined ? '' : ` (\`${highest.scenario}\`)`
  const what = `highest peak RSS of a scenario${where}, in MB`
  return medianTarget({
    what,
    relation: '<',
    limit: PEAK_RSS_MAX_MB,
    values: highest?.values ?? [],
    digits: 0,
  })
}

function peaksMb(runs, scenario) {
  return runs
    .filter((run) => run.contender === JUDGED && run.scenario === scenario)
    .map(({ peakRssMb }) => peakRssMb)
}
