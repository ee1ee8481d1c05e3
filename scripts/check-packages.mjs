// Packs every package, and prints the mistakes in the packed files.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packageMistakes } from './pack/package-mistakes.mjs'
import { ROOT, run } from './step.mjs'

const folder = mkdtempSync(join(tmpdir(), 'inferwire-packages-'))
try {
  const packed = await run(process.execPath, [join(ROOT, 'scripts/pack.mjs'), folder])
  if (packed.code !== 0) throw new Error(packed.output)
  for (const name of readdirSync(folder)) {
    for (const mistake of await packageMistakes(new Uint8Array(readFileSync(join(folder, name))))) {
      console.error(`${name}: ${mistake}`)
      process.exitCode = 1
    }
  }
} finally {
  rmSync(folder, { recursive: true })
}
