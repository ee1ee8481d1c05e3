// Prints the mistakes in packed packages. Usage: node scripts/check-packages.mjs [FOLDER]; by default, it packs every
// package into a temporary folder.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packageMistakes } from './pack/package-mistakes.mjs'
import { fail, ROOT, run } from './step.mjs'

const [given] = process.argv.slice(2)
const folder = given ?? mkdtempSync(join(tmpdir(), 'inferwire-packages-'))
try {
  if (given === undefined) {
    const packed = await run(process.execPath, [join(ROOT, 'scripts/pack.mjs'), folder])
    if (packed.code !== 0) fail(packed.output)
  }
  const packs = readdirSync(folder).filter((name) => name.endsWith('.tgz'))
  if (packs.length === 0) fail(`"${folder}" contains no packages.`)
  for (const name of packs) {
    for (const mistake of await packageMistakes(new Uint8Array(readFileSync(join(folder, name))))) {
      console.error(`${name}: ${mistake}`)
      process.exitCode = 1
    }
  }
} finally {
  if (given === undefined) rmSync(folder, { recursive: true })
}
