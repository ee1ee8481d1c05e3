// Installs the npm packages of the lock file, when they are not there yet.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fail, ROOT, run, say } from './step.mjs'

const STAMP = join(ROOT, 'node_modules', '.inferwire-lock')

/** After this the tools in node_modules/.bin can be used. */
export async function install() {
  checkNode()
  const hash = createHash('sha256')
    .update(readFileSync(join(ROOT, 'package-lock.json')))
    .digest('hex')
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === hash) return
  say('Installing npm packages (npm ci) …')
  const { code, output } = await run('npm', ['ci', '--no-audit', '--no-fund'])
  if (code !== 0) fail(`npm ci failed:\n${output}\nCheck that this machine reaches an npm registry.`)
  writeFileSync(STAMP, hash)
  say('Installed.')
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  fail(`Node.js ${process.versions.node} is too old: Inferwire needs 20.19 or newer (https://nodejs.org).`)
}
