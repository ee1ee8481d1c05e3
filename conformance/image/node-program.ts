// Provides the Node.js version of the base image, from npm, in the cache folder.
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from '../fixtures/cache-folder.ts'
import { run } from '../fixtures/processes.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

/** Returns the path of the program. @throws Error that names the remedy */
export async function nodeProgram(version: string): Promise<string> {
  const cached = join(cacheFolder(), `node-${version}`)
  const program = join(cached, 'node')
  if (existsSync(program)) return program
  const folder = tempFolder('node')
  const name = `node-${process.platform}-${process.arch}@${version}`
  const packed = await run('npm', ['pack', '--silent', '--pack-destination', folder, name])
  const archive = join(folder, packed.stdout.trim())
  const unpacked = await run('tar', ['xzf', archive, '-C', folder, 'package/bin/node'])
  if (packed.code !== 0 || unpacked.code !== 0) {
    throw new Error(
      `npm pack ${name} failed:\n${packed.stderr}${unpacked.stderr}\nCheck that this machine reaches npm.`,
    )
  }
  // The folder is renamed last, so that it is either complete or absent.
  const temporary = `${cached}.${process.pid}.tmp`
  mkdirSync(temporary, { recursive: true })
  cpSync(join(folder, 'package/bin/node'), join(temporary, 'node'))
  try {
    renameSync(temporary, cached)
  } catch {
    // Another process has created the folder in the meantime.
    rmSync(temporary, { recursive: true, force: true })
  }
  return program
}
