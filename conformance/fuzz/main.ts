// `npm run fuzz -- [--target NAME]… [--seconds N | --cpu-seconds N] [--seed N] [--jobs N] [--replay FILE]`.
import { parseArgs } from 'node:util'
import { readInput } from './corpus.ts'
import { loadTarget, TARGETS } from './targets/index.ts'
import { tryInput } from './try-input.ts'
import { fuzzTarget, type TargetListener, type TargetResult } from './watch-worker.ts'
import type { WorkerTask } from './worker.ts'

const { values } = parseArgs({
  options: {
    target: { type: 'string', multiple: true },
    // Seconds for each target.
    seconds: { type: 'string', default: '60' },
    // CPU time instead of elapsed time; the targets then run one after another.
    'cpu-seconds': { type: 'string' },
    seed: { type: 'string' },
    jobs: { type: 'string', default: '1' },
    replay: { type: 'string' },
  },
})
const names = values.target ?? [...TARGETS]
for (const name of names) {
  if (!TARGETS.includes(name)) stop(`There is no target "${name}". Use one of: ${TARGETS.join(', ')}.`)
}
if (values.replay !== undefined) await replay(names, values.replay)
else await run()

function stop(text: string): never {
  process.stderr.write(`${text}\n`)
  process.exit(2)
}

function numberOf(option: string, text: string): number {
  const number = Number(text)
  if (!Number.isFinite(number) || number < 0) stop(`--${option} ${text}: expected a number.`)
  return number
}

async function replay(targets: readonly string[], file: string): Promise<void> {
  if (targets.length !== 1) stop('--replay needs the target of the file: --target NAME.')
  const outcome = await tryInput(await loadTarget(targets[0]!), readInput(file))
  console.log('label' in outcome ? `fine: ${outcome.label}` : `${outcome.kind}: ${outcome.text}`)
  // The target's open streams and timers would keep the process running.
  process.exit('label' in outcome ? 0 : 1)
}

async function run(): Promise<void> {
  const cpuSeconds = values['cpu-seconds']
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : numberOf('seed', values.seed)
  const limit: WorkerTask['limit'] =
    cpuSeconds === undefined
      ? { kind: 'clock', seconds: numberOf('seconds', values.seconds) }
      : { kind: 'cpu', seconds: numberOf('cpu-seconds', cpuSeconds) }
  // The CPU time of the process includes all of its threads, so only one fuzzing thread may run at a time.
  const jobs = limit.kind === 'cpu' ? 1 : Math.max(1, numberOf('jobs', values.jobs))
  console.log(
    `seed ${seed}, ${limit.seconds} s of ${limit.kind === 'cpu' ? 'CPU' : 'wall-clock'} time for each of: ${names.join(', ')}`,
  )
  const queue = [...names]
  const results: TargetResult[] = []
  const work = async (): Promise<void> => {
    for (let target = queue.shift(); target !== undefined; target = queue.shift()) {
      const result = await fuzzTarget({ target, seed, limit }, listener())
      results.push(result)
      console.log(`done ${lineOf(result)}`)
    }
  }
  await Promise.all(Array.from({ length: jobs }, work))
  const findings = results.reduce((sum, result) => sum + result.findings, 0)
  const runs = results.reduce((sum, result) => sum + result.runs, 0)
  console.log(`${runs} runs, ${findings} findings (seed ${seed})`)
  process.exit(findings === 0 ? 0 : 1)
}

function listener(): TargetListener {
  const everySeconds = 10
  let next = everySeconds
  return {
    progress(target, progress, seconds) {
      if (seconds < next) return
      next = seconds + everySeconds
      console.log(`     ${lineOf({ target, seconds, ...progress })}`)
    },
    found: (target, text, file) => console.log(`FOUND ${target}: ${text}\n      ${file}`),
  }
}

function lineOf({ target, runs, behaviours, findings, seconds }: TargetResult): string {
  const rate = Math.round(runs / seconds)
  return `${target}: ${seconds.toFixed(0)} s, ${runs} runs, ${rate}/s, ${behaviours} behaviours, ${findings} findings`
}
