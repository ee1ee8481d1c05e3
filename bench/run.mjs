// `npm run bench`: compares Inferwire with a minimal connector, in alternating runs on this machine. See README.md.
import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { endChildrenWithMe } from './child.mjs'
import { YARDSTICK } from './contender.mjs'
import { measure } from './measure.mjs'
import { readOptions, USAGE } from './options.mjs'
import { BUILD, RESULTS } from './paths.mjs'
import { describeMachine, prepare } from './prepare.mjs'
import { progress, report } from './report.mjs'
import { keepSections } from './results-section.mjs'
import { startModel } from './testbed.mjs'

endChildrenWithMe()
try {
  await main(readOptions(process.argv.slice(2)))
} catch (error) {
  process.stderr.write(`\n${error.message}\n`)
  process.exitCode = 1
}

async function main(options) {
  if (options.help) return process.stdout.write(USAGE)
  process.stderr.write('Building …\n')
  await prepare(options)
  const begun = new Date()
  const runs = []
  try {
    await measureAll(options, (run) => {
      runs.push(run)
      appendFileSync(join(BUILD, 'results.jsonl'), `${JSON.stringify({ begun, ...run })}\n`)
      process.stderr.write(`${progress(run)}\n`)
    })
  } finally {
    if (runs.length > 0) process.stdout.write(`\n${report(runs)}\n`)
  }
  if (options.write) {
    writeFileSync(RESULTS, keepSections(RESULTS, resultsPage(runs, options, begun)))
    process.stderr.write(`\nwrote bench/RESULTS.md\n`)
  }
}

async function measureAll({ rounds, scenarios, contenders, seconds }, onRun) {
  const model = await startModel()
  try {
    for (let round = 1; round <= rounds; round++) {
      // The order is reversed every second round, so that no contender is always first.
      const order = round % 2 === 1 ? contenders : contenders.toReversed()
      for (const scenario of scenarios) {
        for (const contender of order) {
          const measured = await measure(contender, scenario, { seconds, model })
          onRun({ round, scenario: scenario.name, contender: contender.name, ...measured })
        }
      }
    }
  } finally {
    await model.stop()
  }
}

function resultsPage(runs, { rounds, seconds, contenders }, begun) {
  const command = ['npm run bench --', ...process.argv.slice(2)].join(' ')
  const others = contenders
    .filter(({ name }) => name !== YARDSTICK)
    .map(({ name, command: is }) => `- \`${name}\`: \`${is}\``)
  return `# Results

Written by \`${command}\`; the columns are described in [README.md](README.md).

- Date: ${begun.toISOString().slice(0, 10)}
- Machine: ${describeMachine()}
- ${rounds} rounds, ${seconds} s per run after 1 s of warm-up, QoS 1, medians over the rounds
${others.join('\n')}

${report(runs)}
`
}
