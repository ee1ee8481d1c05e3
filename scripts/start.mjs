// `npm start`: installs, builds, and runs `inferwire dev` with the given arguments.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { join } from 'node:path'
import { install } from './install.mjs'
import { fail, ROOT, run, say, tool } from './step.mjs'

await install()
say('Building …')
const build = await run(tool('tsc'), ['-b'])
if (build.code !== 0) fail(`The build failed:\n${build.output}`)
say('Starting inferwire dev …')

const child = spawn(
  process.execPath,
  [join(ROOT, 'packages/cli/bin/inferwire.js'), 'dev', ...process.argv.slice(2)],
  {
    cwd: process.env.INIT_CWD ?? process.cwd(),
    stdio: 'inherit',
  },
)
// A terminal sends Ctrl-C to the child as well, and a second SIGINT would end the child without a clean shutdown.
// Therefore, SIGINT is forwarded after a delay, in which a child that received Ctrl-C can end.
process.on('SIGINT', () => setTimeout(() => child.kill('SIGINT'), process.stdin.isTTY ? 500 : 0))
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
// If npm receives a SIGTERM, it ends the shell between npm and this process, but the signal does not reach this
// process. When that shell ends, the parent of this process changes, and this process then ends the child.
const parent = process.ppid
setInterval(() => process.ppid !== parent && child.kill('SIGTERM'), 500).unref()
child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
