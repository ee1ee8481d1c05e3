// `npm run bench`: compares Inferwire with a minimal connector, in alternating runs on this machine. See README.md.
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from './command.mjs'
import { chooseContenders, CONTENDERS, YARDSTICK } from './contender.mjs'
import { measure } from './measure.mjs'
import { scenarios, text, whole, WRITE } from './options.mjs'
import { BUILD } from './paths.mjs'
import { prepare } from './prepare.mjs'
import { progress, report } from './report.mjs'
import { publishSection } from './results-section.mjs'
import { inRounds } from './rounds.mjs'
import { startModel } from './testbed.mjs'

const OPTIONS = {
  rounds: whole(3, 'number of rounds'),
  seconds: whole(4, 'measured time of each run, after 1 s of warm-up'),
  scenarios: scenarios(
    '1,32,256,32x100k,32x600k',
    'INFLIGHT or INFLIGHTxBYTES, with k for 1000 bytes;\nwithout BYTES, bodies are 200 bytes long',
  ),
  contenders: text({
    value: 'LIST',
    help: `contenders to measure (default: all; known: ${Object.keys(CONTENDERS).join(', ')})`,
  }),
  contender: text({
    value: 'NAME=COMMAND',
    multiple: true,
    help: 'an additional contender, or a different command for a known one; repeatable.\nPlaceholders: {mqtt_port}, {http_port}, {admin_port}',
  }),
  write: WRITE,
}

await runCommand('npm run bench --', OPTIONS, main)

async function main({ contenders: list, contender: added = [], ...values }) {
  const options = { ...values, contenders: chooseContenders(list, added) }
  await prepare(options)
  const begun = new Date()
  const runs = []
  let isComplete = false
  try {
    await measureAll(options, (run) => {
      runs.push(run)
      appendFileSync(join(BUILD, 'results.jsonl'), `${JSON.stringify({ begun, ...run })}\n`)
      process.stderr.write(`${progress(run)}\n`)
    })
    isComplete = true
  } finally {
    // The runs before an error are printed, but not written.
    if (runs.length > 0) publish(runs, { ...options, write: options.write && isComplete }, begun)
  }
}

async function measureAll(options, onRun) {
  const model = await startModel()
  try {
    for (const { round, scenario, contender } of inRounds(options)) {
      const measured = await measure(contender, scenario, { seconds: options.seconds, model })
      onRun({ round, scenario: scenario.name, contender: contender.name, ...measured })
    }
  } finally {
    await model.stop()
  }
}

function publish(runs, { commandLine: command, rounds, seconds, contenders, write }, begun) {
  const section = {
    name: 'comparison',
    title: 'Comparison with a minimal connector',
    command,
    begun,
    withNginx: true,
    settings: [
      `${rounds} rounds, ${seconds} s per run after 1 s of warm-up, QoS 1, medians over the rounds`,
      ...contenders
        .filter(({ name }) => name !== YARDSTICK)
        .map(({ name, command: is }) => `\`${name}\`: \`${is}\``),
    ],
    isWriting: write,
  }
  publishSection(section, report(runs))
}
