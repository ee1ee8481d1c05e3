// The folder outside the checkout where what is slow to get is kept, and one maker at a time for each thing in it.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** By the same rule conformance/fixtures/cache-folder.ts finds it. */
export const CACHE =
  process.env.INFERWIRE_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'inferwire')

/**
 * The folder `name` of the cache, filled by `make(temporaryFolder)` when it is not there. Whoever comes second waits,
 * `waitSeconds` at most. A folder is there completely or not at all.
 */
export async function cachedFolder(name, make, waitSeconds = 600) {
  const folder = join(CACHE, name)
  if (existsSync(folder)) return folder
  mkdirSync(CACHE, { recursive: true })
  return await withLock(`${folder}.lock`, waitSeconds, async () => {
    if (existsSync(folder)) return folder
    const temporary = `${folder}.${process.pid}.tmp`
    rmSync(temporary, { recursive: true, force: true })
    mkdirSync(temporary)
    try {
      await make(temporary)
      renameSync(temporary, folder)
    } finally {
      rmSync(temporary, { recursive: true, force: true })
    }
    return folder
  })
}

/** Two checkouts may be tested at once: one does the work, the other waits, `waitSeconds` at most. */
export async function withLock(lock, waitSeconds, work) {
  await takeLock(lock, waitSeconds)
  try {
    return await work()
  } finally {
    rmSync(lock, { force: true })
  }
}

async function takeLock(lock, waitSeconds) {
  for (let seconds = 0; seconds < waitSeconds; seconds++) {
    try {
      return writeFileSync(lock, String(process.pid), { flag: 'wx' })
    } catch (error) {
      if (error.code !== 'EEXIST')
        throw new Error(`"${lock}" cannot be written: ${error.message}`, { cause: error })
    }
    if (!isRunning(holderOf(lock))) rmSync(lock, { force: true })
    else await delay(1000)
  }
  throw new Error(`"${lock}" was held for ${waitSeconds} seconds. Remove it if no other install is running.`)
}

// Between two looks the holder may have given it back; 1 is a process that always runs.
function holderOf(lock) {
  try {
    return Number(readFileSync(lock, 'utf8')) || 1
  } catch {
    return 1
  }
}

function isRunning(pid) {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error.code === 'EPERM'
  }
}
