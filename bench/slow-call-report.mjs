// Formats measurements of `npm run bench:slow` as Markdown.
import { idleDoubts } from './idle.mjs'
import { table } from './table.mjs'

/**
 * If the load generator sent requests more than this time after their planned time, the latencies are too high.
 */
const LAG_MAX_MS = 20

const PHASES = { quiet: 'quiet', open: 'open call', restart: 'killed, restarted' }

/** Returns the paragraphs of the section. @param {object[]} runs as returned by `measure` in slow-call.mjs */
export function report(runs) {
  return [phaseTable(runs), restartTable(runs), ...doubts(runs), ...idleDoubts(runs)]
}

/** Returns a progress line for one run. */
export function progress({ window, phases, restart }) {
  const parts = Object.entries(PHASES).map(([phase, name]) => {
    const { okP50Ms, okP99Ms, perSecond } = phases[phase]
    return `${name}: p50 ${ms(okP50Ms)} ms, p99 ${ms(okP99Ms)} ms, ${stalls(perSecond)} of ${perSecond.length} s without an answer`
  })
  return `window ${window}  ${parts.join('; ')}; ${restart.redelivered} redelivered`
}

function phaseTable(runs) {
  const rows = runs.flatMap((run) =>
    Object.entries(PHASES).map(([phase, name]) => {
      const { requests, ok, errors, okP50Ms, okP99Ms, maxMs, unanswered } = run.phases[phase]
      const { perSecond, unansweredAtEnd } = run.phases[phase]
      return [
        `${run.window}`,
        name,
        `${requests}`,
        ...(ok === 0 ? ['', ''] : [ms(okP50Ms), ms(okP99Ms)]),
        unanswered === requests ? '' : ms(maxMs),
        `${Math.min(...perSecond)}`,
        `${stalls(perSecond)} of ${perSecond.length}`,
        // The open call does not count as unanswered.
        `${unansweredAtEnd - (phase === 'quiet' ? 0 : 1)}`,
        `${Object.values(errors).reduce((sum, count) => sum + count, 0)}`,
        `${unanswered}`,
      ]
    }),
  )
  return table(
    [
      'window',
      'phase',
      'requests',
      'p50 ms',
      'p99 ms',
      'slowest ms',
      'fewest answers in a second',
      'seconds without an answer',
      'waiting at the end',
      'errors',
      'never answered',
    ],
    rows,
  )
}

function restartTable(runs) {
  const rows = runs.map(({ window, restart }) => [
    `${window}`,
    ...['unacknowledged', 'redelivered', 'callsAgain', 'secondReplies', 'openCalls'].map(
      (member) => `${restart[member]}`,
    ),
  ])
  return table(
    [
      'window',
      'unacknowledged before the kill',
      'redelivered',
      'called again',
      'answered again',
      'calls of the open request',
    ],
    rows,
  )
}

function doubts(runs) {
  return runs.flatMap(({ window, wrongAnswers, lagP99Ms }) => {
    const name = `window ${window}`
    return [
      ...(wrongAnswers > 0 ? [`**${wrongAnswers} wrong answers** (${name}).`] : []),
      ...(lagP99Ms > LAG_MAX_MS
        ? [`**The load was late** (${name}): 1 % of the requests were sent at least ${ms(lagP99Ms)} ms late.`]
        : []),
    ]
  })
}

function stalls(perSecond) {
  return perSecond.filter((answers) => answers === 0).length
}

function ms(value) {
  return value < 100 ? value.toFixed(1) : value.toFixed(0)
}
