// Writes resources/ and the generated files of charts/inferwire; with --check, it only lists the
// files that are out of date.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { configJsonSchema } from '@inferwire/connector'
import { chartFiles, resourceFiles } from '@inferwire/kubernetes'
import { ROOT } from './step.mjs'

const wanted = new Map([
  ...[...resourceFiles()].map(([path, text]) => [`resources/${path}`, text]),
  ...[...chartFiles(configJsonSchema())].map(([path, text]) => [`charts/inferwire/${path}`, text]),
])
const stale = [...wanted].filter(([path, text]) => {
  const file = join(ROOT, path)
  return !existsSync(file) || readFileSync(file, 'utf8') !== text
})
// resources/ must contain no other files, because kubectl would apply them.
const leftOver = filesBelow('resources').filter((path) => !wanted.has(path))

if (process.argv.includes('--check')) {
  const wrong = [...stale.map(([path]) => path), ...leftOver]
  if (wrong.length > 0) {
    console.error(`Out of date: ${wrong.join(', ')}. Run: npm run docs`)
    process.exit(1)
  }
} else {
  for (const [path, text] of stale) {
    mkdirSync(dirname(join(ROOT, path)), { recursive: true })
    writeFileSync(join(ROOT, path), text)
    console.log(`wrote ${path}`)
  }
  for (const path of leftOver) {
    rmSync(join(ROOT, path))
    console.log(`removed ${path}`)
  }
}

function filesBelow(folder) {
  if (!existsSync(join(ROOT, folder))) return []
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(ROOT.length))
}
