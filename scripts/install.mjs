// Installs the npm packages in the lock file if the installed ones differ.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fail, ROOT, run, say } from './step.mjs'

/** Ensures that the tools in node_modules/.bin are installed. */
export async function install() {
  checkNode()
  const difference = findDifference()
  if (difference === undefined) return
  say(`Installing npm packages (${difference}) …`)
  const { code, output } = await run('npm', ['ci', '--no-audit', '--no-fund'])
  if (code !== 0) {
    fail(`npm ci failed:\n${output}\nCheck that this machine can reach an npm registry (npm ping).`)
  }
  say('Installed.')
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  fail(`Node.js ${process.versions.node} is too old: Inferwire needs 20.19 or newer (https://nodejs.org).`)
}

/**
 * Compares the lock file with the record that npm writes to node_modules as its last step. An interrupted install is
 * therefore repeated, but a dependency added by `npm install` is not installed again.
 */
function findDifference() {
  const record = join(ROOT, 'node_modules/.package-lock.json')
  if (!existsSync(record)) return 'none are installed'
  const wanted = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).packages
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages
  for (const [path, { version, integrity, optional }] of Object.entries(wanted)) {
    if (!path.includes('node_modules/')) continue
    const found = installed[path]
    // The lock file also lists packages for other platforms, which are not installed.
    if (found === undefined && optional) continue
    if (found === undefined || !existsSync(join(ROOT, path))) return `${path} is missing`
    if (found.version !== version || found.integrity !== integrity) return `${path} must be ${version}`
  }
  return undefined
}
