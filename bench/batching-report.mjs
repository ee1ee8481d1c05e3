// Formats measurements of `npm run bench:batching` as Markdown, and compares them with the targets.
import { YARDSTICK } from './contender.mjs'
import { idleDoubts } from './idle.mjs'
import { pairsOf } from './rounds.mjs'
import { median, spread } from './statistics.mjs'
import { table, targetTable } from './table.mjs'
import { medianTarget } from './targets.mjs'

/** The values of `models.*.batching` and of `limits.concurrency` that are compared. */
export const SETTINGS = {
  off: { limits: { concurrency: 1 } },
  'sizeMax: 64': { batching: { sizeMax: 64 }, limits: { concurrency: 1 } },
  auto: { batching: 'auto', limits: { concurrency: 1 } },
  'off, concurrency 64': {},
  'auto, concurrency 64': { batching: 'auto' },
}
const WITHOUT_BATCHING = 'off'
const WITH_BATCHING = Object.keys(SETTINGS).filter((name) => SETTINGS[name].batching !== undefined)

const rateRatio = (run, other) => run.requestsPerSecond / other.requestsPerSecond
const addedP99 = (run, other) => run.p99Ms - other.p99Ms
const cpuRatio = (run, other) => run.connectorCpuMs / other.connectorCpuMs

const COMPARED_AT_64 = { server: 'slow', scenario: '64', baseline: WITHOUT_BATCHING, compare: rateRatio }
const COMPARED_AT_1 = { server: 'slow', scenario: '1', baseline: WITHOUT_BATCHING, compare: addedP99 }
const COMPARED_TO_C = { server: 'cheap', scenario: '32', baseline: YARDSTICK, compare: cpuRatio }
const RATE = { what: `requests/s, ratio to \`${WITHOUT_BATCHING}\``, relation: '>=', limit: 10 }
const P99 = { what: `p99 minus p99 with \`${WITHOUT_BATCHING}\`, in ms`, relation: '<=', limit: 1 }
const CPU = { what: `connector CPU, ratio to \`${YARDSTICK}\``, relation: '<=', limit: 1 }
/** Each target compares the runs `name` with the runs `baseline` of the same round, server and scenario. */
const TARGETS = [
  ...WITH_BATCHING.map((name) => ({ name, ...COMPARED_AT_64, ...RATE })),
  ...WITH_BATCHING.map((name) => ({ name, ...COMPARED_AT_1, ...P99 })),
  { name: 'auto, concurrency 64', ...COMPARED_TO_C, ...CPU },
]

/** For each column: its heading, the member of a measurement that it shows, and the number of decimals. */
const COLUMNS = [
  ['requests/s', 'requestsPerSecond', 0],
  ['requests per call', 'answersPerCall', 1],
  ['p50 ms', 'p50Ms', 2],
  ['p99 ms', 'p99Ms', 2],
  ['connector CPU ms per 1000', 'connectorCpuMs', 1],
  ['model CPU ms per 1000', 'modelCpuMs', 1],
]

/**
 * Returns the paragraphs of the section.
 * @param {object[]} runs as returned by `measure`, plus `round`, `server` (slow or cheap), and the names `scenario` and
 *   `name`, a key of SETTINGS or the yardstick
 */
export function batchingReport(runs) {
  return [slowTable(runs), cheapTable(runs), targets(runs), ...wrongAnswers(runs), ...idleDoubts(runs)]
}

/** Returns a progress line for one run. */
export function progress({ round, server, scenario, name, ...run }) {
  const figures = COLUMNS.map(([heading, member, digits]) => `${run[member].toFixed(digits)} ${heading}`)
  return `round ${round}  ${server.padEnd(5)} ${scenario.padStart(3)}  ${name.padEnd(20)} ${figures.join(', ')}`
}

function slowTable(runs) {
  const intro = `The slow model server. The ratio is the requests/s divided by those with \`${WITHOUT_BATCHING}\` in the same round.`
  return `${intro}\n\n${comparison(runs, { server: 'slow', baseline: WITHOUT_BATCHING, compare: rateRatio })}`
}

function cheapTable(runs) {
  const intro = `The cheap model server. The ratio is the connector's CPU time per request divided by that of \`${YARDSTICK}\` in the same round; \`${YARDSTICK}\` does not merge requests.`
  return `${intro}\n\n${comparison(runs, { server: 'cheap', baseline: YARDSTICK, compare: cpuRatio })}`
}

function comparison(runs, { server, baseline, compare }) {
  const own = runs.filter((run) => run.server === server)
  const scenarios = [...new Set(own.map(({ scenario }) => scenario))]
  const names = [...new Set(own.map(({ name }) => name))]
  const rows = scenarios.flatMap((scenario) =>
    names.map((name) => {
      const of = own.filter(isRun({ server, scenario, name }))
      const figures = COLUMNS.map(([, member, digits]) =>
        median(of.map((run) => run[member])).toFixed(digits),
      )
      const ratios = compared(runs, { server, scenario, name, baseline, compare })
      return [scenario, `\`${name}\``, ...figures, name === baseline ? '' : spread(ratios)]
    }),
  )
  const heads = COLUMNS.map(([heading]) => heading)
  return table(['in flight', 'setting', ...heads, `ratio to \`${baseline}\``], rows)
}

function targets(runs) {
  const rows = TARGETS.map((target) => {
    const { server, scenario, name, what } = target
    return medianTarget({
      ...target,
      what: `\`${name}\`, ${server} model server, ${scenario} in flight: ${what}`,
      values: compared(runs, target),
    })
  })
  return `The targets. Each value compares two runs of the same round: median, minimum and maximum.\n\n${targetTable(rows)}`
}

// Compares each run `name` with the run `baseline` of the same round.
function compared(runs, { name, baseline, compare, ...where }) {
  const pairs = pairsOf(runs, isRun({ ...where, name }), isRun({ ...where, name: baseline }))
  return pairs.map(([run, other]) => compare(run, other))
}

function wrongAnswers(runs) {
  return runs
    .filter((run) => run.wrongAnswers > 0)
    .map(
      ({ wrongAnswers: count, name, server, scenario, round }) =>
        `**${count} wrong answers** from \`${name}\`, ${server} model server, ${scenario} in flight, round ${round}.`,
    )
}

function isRun({ server, scenario, name }) {
  return (run) => run.server === server && run.scenario === scenario && run.name === name
}
