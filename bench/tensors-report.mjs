// The cases of `npm run bench:tensors`; formats their measurements as Markdown, and compares them with the targets.
import { idleDoubts } from './idle.mjs'
import { pairsOf } from './rounds.mjs'
import { median } from './statistics.mjs'
import { table, targetTable } from './table.mjs'
import { medianTarget } from './targets.mjs'

/**
 * The cases by name: the size of the tensor, the encoding of the request over MQTT, and the protocol between connector
 * and model server.
 */
export const CASES = {
  json: { size: 'large', encoding: 'json', protocolVersion: 'v2' },
  binary: { size: 'large', encoding: 'binary', protocolVersion: 'v2' },
  grpc: { size: 'large', encoding: 'binary', protocolVersion: 'grpc-v2' },
  'small-json': { size: 'small', encoding: 'json', protocolVersion: 'v2' },
  'small-json-grpc': { size: 'small', encoding: 'json', protocolVersion: 'grpc-v2' },
  'small-binary': { size: 'small', encoding: 'binary', protocolVersion: 'v2' },
  'small-binary-grpc': { size: 'small', encoding: 'binary', protocolVersion: 'grpc-v2' },
}

const CPU_COLUMNS = {
  client: 'client',
  broker: 'broker',
  connector: 'connector',
  upstream: 'model server',
  endToEnd: 'end to end',
}

/** The ratios of CPU times that have a target; `of` and `to` are cases. */
const TARGETS = [
  { what: 'endToEnd', of: 'binary', to: 'json', relation: '<', limit: 0.2 },
  { what: 'connector', of: 'grpc', to: 'binary', relation: '<=', limit: 2 },
  { what: 'connector', of: 'small-json-grpc', to: 'small-json', relation: '<=', limit: 2 },
  { what: 'connector', of: 'small-binary-grpc', to: 'small-binary', relation: '<=', limit: 2 },
]

/** Returns the paragraphs of the section. @param {object[]} runs as returned by `measure` in tensors.mjs */
export function report(runs) {
  return [caseTable(runs), cpuTable(runs), targets(runs), ...doubts(runs), ...idleDoubts(runs)]
}

/** Returns a progress line for one run. */
export function progress({ round, name, requestsPerSecond, p50Ms, p99Ms, cpuMs, wrongAnswers, errors }) {
  const rate = `${requestsPerSecond.toFixed(0)} requests/s, p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`
  const cpu = `CPU ms per 1000: connector ${cpuMs.connector.toFixed(0)}, end to end ${cpuMs.endToEnd.toFixed(0)}`
  const faults = wrongAnswers + errors > 0 ? `, ${wrongAnswers} WRONG ANSWERS, ${errors} ERRORS` : ''
  return `round ${round}  ${name.padEnd(17)} ${rate}, ${cpu}${faults}`
}

function caseTable(runs) {
  const rows = namesIn(runs).map((name) => {
    const of = runs.filter((run) => run.name === name)
    const cell = (member, digits) => median(of.map((run) => run[member])).toFixed(digits)
    const { size, encoding, protocolVersion } = CASES[name]
    const figures = [cell('requestsPerSecond', 0), cell('p50Ms', 2), cell('p99Ms', 2)]
    return [`\`${name}\``, size, encoding, `\`${protocolVersion}\``, cell('requestBytes', 0), ...figures]
  })
  const head = ['case', 'tensor', 'encoding over MQTT', 'protocol of the model server', 'bytes of a request']
  return table([...head, 'requests/s', 'p50 ms', 'p99 ms'], rows)
}

function cpuTable(runs) {
  const rows = namesIn(runs).map((name) => {
    const of = runs.filter((run) => run.name === name)
    const cells = Object.keys(CPU_COLUMNS).map((what) => median(of.map((run) => run.cpuMs[what])).toFixed(0))
    return [`\`${name}\``, ...cells]
  })
  return `CPU time in ms per 1000 requests; "end to end" is the sum.\n\n${table(['case', ...Object.values(CPU_COLUMNS)], rows)}`
}

function targets(runs) {
  const rows = TARGETS.map(({ what, of, to, relation, limit }) => {
    const pairs = pairsOf(runs, isCase(of), isCase(to))
    const values = pairs.map(([run, other]) => run.cpuMs[what] / other.cpuMs[what])
    return medianTarget({ what: `CPU ${CPU_COLUMNS[what]}, \`${of}\` to \`${to}\``, relation, limit, values })
  })
  return `Each ratio compares two runs of the same round: median, minimum and maximum.\n\n${targetTable(rows)}`
}

function isCase(name) {
  return (run) => run.name === name
}

function doubts(runs) {
  return runs
    .filter(({ wrongAnswers, errors }) => wrongAnswers + errors > 0)
    .map(
      ({ round, name, wrongAnswers, errors, firstError }) =>
        `**${wrongAnswers} wrong answers, ${errors} errors** (\`${name}\`, round ${round})${firstError === undefined ? '' : `; the first error: ${firstError}`}.`,
    )
}

// Returns the measured cases in the order of CASES.
function namesIn(runs) {
  return Object.keys(CASES).filter((name) => runs.some((run) => run.name === name))
}
