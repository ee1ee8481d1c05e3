// Installs node-llama-cpp for the tests that run a GGUF file.
import { createHash } from 'node:crypto'
import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { cachedFolder } from './cache.mjs'
import { ROOT, run, say } from './step.mjs'

const PACKAGE = join(ROOT, 'conformance/fixtures/llama')

/**
 * Installs the package in a cache folder, which conformance/fixtures/llama.ts finds by the same name. No script of a
 * package is executed, because such a script could download or compile llama.cpp. @throws Error with the remedy
 */
export async function fetchLlama() {
  const lock = readFileSync(join(PACKAGE, 'package-lock.json'))
  const hash = createHash('sha256').update(lock).digest('hex').slice(0, 12)
  await cachedFolder(`llama-${hash}`, async (folder) => {
    say('Installing node-llama-cpp (83 MB) …')
    for (const name of ['package.json', 'package-lock.json']) {
      copyFileSync(join(PACKAGE, name), join(folder, name))
    }
    const options = ['--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund']
    const { code, output } = await run('npm', ['ci', ...options], { cwd: folder })
    if (code === 0) return
    throw new Error(
      `npm ci of node-llama-cpp failed:\n${output}\nCheck that this machine can reach an npm registry.`,
    )
  })
}
