// Formats measurements as Markdown: medians per scenario and contender, the ratios to the yardstick, and the targets.
import { YARDSTICK } from './contender.mjs'
import { idleDoubts, OTHER_CORES_MAX } from './idle.mjs'
import { pairsOf } from './rounds.mjs'
import { targets } from './run-targets.mjs'
import { median, spread } from './statistics.mjs'
import { table } from './table.mjs'

/** For each column: its heading, the member of a measurement that it shows, and the number of decimals. */
const COLUMNS = [
  ['requests/s', 'requestsPerSecond', 0],
  ['p50 ms', 'p50Ms', 2],
  ['p99 ms', 'p99Ms', 2],
  ['connector CPU ms per 1000', 'connectorCpuMs', 1],
  ['peak RSS MB', 'peakRssMb', 1],
  ['start to first answer ms', 'firstAnswerMs', 0],
  ['start to ready ms', 'readyMs', 0],
  ['broker CPU ms per 1000', 'brokerCpuMs', 1],
  ['model CPU ms per 1000', 'modelCpuMs', 1],
]
/** Measurements that are compared with the yardstick. */
const COMPARED = COLUMNS.slice(0, 6)

/** Returns the paragraphs of the section. @param {object[]} runs as returned by `measure`, plus `round` and the names `scenario` and `contender` */
export function report(runs) {
  const parts = [absolute(runs)]
  const ratios = relative(runs)
  if (ratios.length > 0) {
    parts.push(
      `Ratios to \`${YARDSTICK}\`. Each ratio compares two runs of the same round; the table shows the median over the rounds and, in brackets, the minimum and the maximum. For requests/s, a ratio above 1 is better; for all other columns, a ratio below 1 is better.`,
      table(['in flight x body', 'contender', ...COMPARED.map(([heading]) => heading)], ratios),
    )
  }
  return [...parts, targets(runs), ...doubts(runs)]
}

/** Returns a progress line for one run. */
export function progress({ round, scenario, contender, ...run }) {
  const numbers = COLUMNS.slice(0, 7)
    .filter(([, member]) => run[member] !== null)
    .map(([heading, member, digits]) => `${run[member].toFixed(digits)} ${heading}`)
  const other = run.otherCores > OTHER_CORES_MAX ? `, other programs: ${run.otherCores} cores` : ''
  const wrong = run.wrongAnswers > 0 ? `, ${run.wrongAnswers} WRONG ANSWERS` : ''
  return `round ${round}  ${scenario.padEnd(9)} ${contender.padEnd(10)} ${numbers.join(', ')}${other}${wrong}`
}

function absolute(runs) {
  const rows = groups(runs).map(({ scenario, contender, of }) => [
    scenario,
    `\`${contender}\``,
    ...COLUMNS.map(([, member, digits]) => {
      const values = of.map((run) => run[member])
      return values.includes(null) ? '' : median(values).toFixed(digits)
    }),
  ])
  return table(['in flight x body', 'contender', ...COLUMNS.map(([heading]) => heading)], rows)
}

function relative(runs) {
  return groups(runs)
    .filter(({ contender }) => contender !== YARDSTICK)
    .map(({ scenario, contender, of }) => {
      const isYardstick = (run) => run.contender === YARDSTICK && run.scenario === scenario
      const pairs = pairsOf(runs, (run) => of.includes(run), isYardstick)
      const cells = COMPARED.map(([, member]) =>
        spread(pairs.map(([run, other]) => run[member] / other[member])),
      )
      return pairs.length === 0 ? undefined : [scenario, `\`${contender}\``, ...cells]
    })
    .filter((row) => row !== undefined)
}

function doubts(runs) {
  const wrong = runs.filter((run) => run.wrongAnswers > 0)
  return [
    ...wrong.map(
      (run) =>
        `**${run.wrongAnswers} wrong answers** from \`${run.contender}\`, ${run.scenario}, round ${run.round}.`,
    ),
    ...idleDoubts(runs),
  ]
}

// Groups runs by scenario and contender, in the order in which the groups first appear.
function groups(runs) {
  const scenarios = [...new Set(runs.map((run) => run.scenario))]
  const contenders = [...new Set(runs.map((run) => run.contender))]
  return scenarios
    .flatMap((scenario) =>
      contenders.map((contender) => ({
        scenario,
        contender,
        of: runs.filter((run) => run.scenario === scenario && run.contender === contender),
      })),
    )
    .filter(({ of }) => of.length > 0)
}
