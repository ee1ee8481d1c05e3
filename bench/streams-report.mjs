// Formats measurements of `npm run bench:streams` as Markdown, and compares them with the targets.
import { idleDoubts } from './idle.mjs'
import { median } from './statistics.mjs'
import { table, targetTable } from './table.mjs'

/** The load for which the target of the latency is defined. */
const TARGET_LOAD = { streams: 64, rate: 50 }
const ADDED_P99_MAX_MS = 5
// Memory counts as constant if the last tenth of a run uses at most this many times the memory of the first tenth.
const GROWTH_MAX = 1.1
const FLAT_SECONDS_MIN = 600

const PATHS = { direct: 'direct', mqtt: 'MQTT' }

/** Returns the paragraphs of the section. @param {object[]} runs as returned by `measure` in streams.mjs */
export function report(runs, options) {
  return [partsTable(runs), memoryTable(runs), targets(runs, options), ...errors(runs), ...idleDoubts(runs)]
}

/** Returns a progress line for one run. */
export function progress({ round, path, parts, p50Ms, p99Ms, maxMs, lost, repeated, errors: failed }) {
  const latency = `p50 ${ms(p50Ms)} ms, p99 ${ms(p99Ms)} ms, max ${ms(maxMs)} ms`
  return `round ${round}  ${path.padEnd(6)}  ${parts} parts, ${latency}; ${lost} lost, ${repeated} repeated, ${failed} errors`
}

function partsTable(runs) {
  const rows = runs.map((run) => [
    `${run.round}`,
    PATHS[run.path],
    `${run.parts}`,
    (run.parts / run.seconds).toFixed(0),
    ...[run.p50Ms, run.p99Ms, run.maxMs].map(ms),
    ...[run.lost, run.repeated, run.errors, run.finished, run.leftBehind].map(String),
    ...[run.connectorCpuMs, run.brokerCpuMs].map((value) => value?.toFixed(1) ?? ''),
  ])
  const latency = ['p50 ms', 'p99 ms', 'max ms']
  const counts = ['lost', 'repeated', 'errors', 'streams finished', 'left behind']
  const times = ['connector CPU ms per 1000 parts', 'broker CPU ms per 1000 parts']
  return table(['round', 'path', 'parts', 'parts/s', ...latency, ...counts, ...times], rows)
}

function memoryTable(runs) {
  const rows = throughMqtt(runs).map((run) => {
    const tenths = mediansOfTenths(run.rssSamplesMb)
    return [`${run.round}`, ...tenths.map((value) => value.toFixed(0)), growth(run).toFixed(2)]
  })
  const heads = Array.from({ length: 10 }, (_, index) => `${index + 1}`)
  return `The connector's RSS in MB: medians of each tenth of the run, and the ratio of the last to the first.\n\n${table(['round', ...heads, 'ratio'], rows)}`
}

function targets(runs, { streams, rate, seconds }) {
  const measured = throughMqtt(runs)
  const isTargetLoad = streams === TARGET_LOAD.streams && rate === TARGET_LOAD.rate
  const added = median(measured.map((run) => run.p99Ms - directOf(runs, run).p99Ms))
  const sum = (member) => measured.reduce((total, run) => total + run[member], 0)
  const growths = measured.map(growth)
  const isLong = seconds >= FLAT_SECONDS_MIN
  return targetTable([
    {
      target: `p99 through MQTT minus p99 direct < ${ADDED_P99_MAX_MS} ms, with ${TARGET_LOAD.streams} streams of ${TARGET_LOAD.rate} tokens/s`,
      measured: `${ms(added)} ms${isTargetLoad ? '' : ` with ${streams} streams of ${rate} tokens/s`}`,
      isMet: isTargetLoad ? added < ADDED_P99_MAX_MS : undefined,
    },
    {
      target: 'no lost or repeated part, and no error',
      measured: `${sum('lost')} lost, ${sum('repeated')} repeated, ${sum('errors')} errors`,
      isMet: sum('lost') + sum('repeated') + sum('errors') === 0,
    },
    {
      target: 'no request or call left behind after the last stream',
      measured: `${sum('leftBehind')}`,
      isMet: sum('leftBehind') === 0,
    },
    {
      target: `RSS of the last tenth <= ${GROWTH_MAX} times the first, in a run of at least ${FLAT_SECONDS_MIN} s`,
      measured: isLong
        ? Math.max(...growths).toFixed(2)
        : `the run is too short: use --seconds ${FLAT_SECONDS_MIN}`,
      isMet: isLong ? Math.max(...growths) <= GROWTH_MAX : undefined,
    },
  ])
}

function errors(runs) {
  const failed = runs.filter((run) => run.errors > 0)
  return failed.map(
    (run) =>
      `**${run.errors} errors** (${PATHS[run.path]}, round ${run.round}); the first: ${run.firstError}`,
  )
}

function throughMqtt(runs) {
  return runs.filter(({ path }) => path === 'mqtt')
}

function directOf(runs, { round }) {
  return runs.find((run) => run.path === 'direct' && run.round === round)
}

function growth({ rssSamplesMb }) {
  const tenths = mediansOfTenths(rssSamplesMb)
  return tenths.at(-1) / tenths[0]
}

// A short run has fewer than ten samples; a sample then belongs to several tenths.
function mediansOfTenths(samples) {
  return Array.from({ length: 10 }, (_, index) => {
    const from = Math.floor((index * samples.length) / 10)
    const to = Math.max(from + 1, Math.floor(((index + 1) * samples.length) / 10))
    return median(samples.slice(from, to))
  })
}

function ms(value) {
  return value.toFixed(2)
}
